"""NVIDIA's display devices in sysfs, and whether they sleep: asked without touching a driver.

The files are the kernel's: `vendor` and `class` of a PCI device
(Documentation/PCI/sysfs-pci.rst) and its runtime power state `power/runtime_status`
(Documentation/ABI/testing/sysfs-devices-power). Reading them wakes nothing.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

# Domain, bus, device, function: one form for sysfs ("0000:01:00.0") and NVML ("00000000:01:00.0").
Address = tuple[int, int, int, int]

NVIDIA = 0x10DE
ASLEEP = "GPU asleep"  # the reason that a user is shown
DISPLAY_CLASS = 0x03  # the first byte of a PCI class: VGA and 3D controllers, no audio or bridge

_ADDRESS = re.compile(r"([0-9a-f]+):([0-9a-f]+):([0-9a-f]+)\.([0-9a-f]+)", re.IGNORECASE)


def address(text: str) -> Address | None:
    """A PCI address, whatever its case and the width of its domain; None of other text."""
    parts = _ADDRESS.fullmatch(text.strip())
    if parts is None:
        return None
    domain, bus, device, function = (int(part, 16) for part in parts.groups())
    return domain, bus, device, function


def display_devices(sysfs: Path) -> dict[Address, Path]:
    """The NVIDIA display devices in PCI order, each with its file `power/runtime_status`.

    Empty where sysfs shows none: no such GPU, no Linux, or a container that hides them.
    """
    found: dict[Address, Path] = {}
    try:
        folders = list((sysfs / "bus/pci/devices").iterdir())
    except OSError:
        return found
    for folder in folders:
        at = address(folder.name)
        is_display = _number(folder / "class") >> 16 == DISPLAY_CLASS
        if at is not None and is_display and _number(folder / "vendor") == NVIDIA:
            found[at] = folder / "power" / "runtime_status"
    return dict(sorted(found.items()))


def asleep(runtime_status: Path) -> bool:
    """Whether the device behind this file is suspended; False where nobody says so."""
    try:
        return runtime_status.read_text().strip() == "suspended"
    except OSError:
        return False


class PowerState:
    """Whether a device sleeps, from its file `power/runtime_status`: kept open, as it is asked
    before every call of a driver (measuring.md 1.8)."""

    def __init__(self, runtime_status: Path) -> None:
        self.file = runtime_status
        self._descriptor: int | None = None

    @property
    def asleep(self) -> bool:
        """Whether the device is suspended; False where nobody says so."""
        try:
            if self._descriptor is None:
                self._descriptor = os.open(self.file, os.O_RDONLY | os.O_CLOEXEC)
            return os.pread(self._descriptor, 16, 0).strip() == b"suspended"
        except OSError:
            self.close()
            return False

    @property
    def can_sleep(self) -> bool:
        """Whether the kernel may suspend the device when nobody uses it: `power/control` is "auto"
        (Documentation/ABI/testing/sysfs-devices-power)."""
        try:
            return self.file.with_name("control").read_text().strip() == "auto"
        except OSError:
            return False

    def close(self) -> None:
        """Let go of the file. Never raises."""
        if self._descriptor is not None:
            with suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None


def _number(file: Path) -> int:
    """The hexadecimal number in a file; 0 where there is none."""
    try:
        return int(file.read_text(), 16)
    except (OSError, ValueError):
        return 0
