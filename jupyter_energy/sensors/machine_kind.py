"""What kind of machine this is: a virtual one and whose, a laptop; from files alone."""

from __future__ import annotations

from pathlib import Path

from .base import Machine
from .rapl_access import surroundings

# What a virtual machine's firmware says of its maker and product (/sys/class/dmi/id), both as
# beginnings, and the name people know it by. A maker of real machines needs the product too.
MAKERS = (
    ("Amazon EC2", "", "Amazon EC2"),
    ("Google", "Google Compute Engine", "Google Compute Engine"),
    ("Microsoft Corporation", "Virtual Machine", "Hyper-V or Azure"),
    ("VMware", "", "VMware"),
    ("QEMU", "", "QEMU/KVM"),
    ("Red Hat", "KVM", "KVM"),
    ("OpenStack", "", "OpenStack"),
    ("innotek", "VirtualBox", "VirtualBox"),
    ("Oracle", "VirtualBox", "VirtualBox"),
    ("Parallels", "", "Parallels"),
    ("Xen", "", "Xen"),
    ("Alibaba Cloud", "", "Alibaba Cloud"),
    ("Tencent Cloud", "", "Tencent Cloud"),
    ("DigitalOcean", "", "DigitalOcean"),
    ("Hetzner", "vServer", "Hetzner"),
)


def virtual_machine(machine: Machine) -> str | None:
    """The kind of virtual machine that this is, in words; None for a real one.

    Processors have a flag for it (x86), firmware a name; WSL 2 has a kernel of its own name.
    """
    around = surroundings(machine)
    if "WSL" in around:
        return "WSL"
    folder = machine.sysfs / "class/dmi/id"
    maker, product = _text(folder / "sys_vendor"), _text(folder / "product_name")
    if maker == "Amazon EC2" and ".metal" in product:
        return None  # a whole machine, rented
    for begins, of, name in MAKERS:
        if maker.startswith(begins) and product.startswith(of):
            return name
    return "of a kind that it does not tell" if "virtual machine" in around else None


def is_laptop(machine: Machine) -> bool:
    """Whether the machine itself has a battery: a mouse's says that its scope is a device."""
    try:
        supplies = tuple((machine.sysfs / "class/power_supply").iterdir())
    except OSError:
        return False
    return any(
        _text(supply / "type") == "Battery" and _text(supply / "scope") != "Device"
        for supply in supplies
    )


def _text(path: Path) -> str:
    """What a file holds, empty where there is none."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
