"""A machine without a network: every test, and every process that a test starts, runs on one."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path

from . import compile_library, preloaded

LIBRARY = "libnetwork.so"
# What the audit events of Python's own sockets carry: (socket, address), (host, port, …).
_CONNECTS = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
_LOOKUPS = frozenset({"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr"})


def build_network(folder: Path) -> Path:
    """`libnetwork.so` in `folder`, to be preloaded."""
    return compile_library("network.c", folder / LIBRARY, "-ldl")


def unplugged(library: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that reaches no other machine, after `environ`."""
    return {**environ, "LD_PRELOAD": preloaded(library, environ)}


def cut_off(library: Path, log: Path) -> dict[str, str]:
    """The environment of a process that reaches no machine, not even its own; each try is a line
    in `log`."""
    return {"LD_PRELOAD": str(library), "NETWORK_LOG": str(log), "NETWORK_NONE": "1"}


def unplug_this_process() -> None:
    """From now on this process reaches no other machine; what it starts is told by the
    environment (`unplugged`). It lasts until the process ends: a hook cannot be taken away."""
    own = {"localhost", socket.gethostname(), ""}

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event in _CONNECTS:
            address = arguments[1]
            if isinstance(address, tuple) and _is_outside(str(address[0]), own):
                raise OSError(101, f"no network in these tests: {event} {address[0]}")
        elif event in _LOOKUPS and _is_outside(_name(arguments[0]), own):
            raise socket.gaierror(socket.EAI_NONAME, f"no network in these tests: {arguments[0]!r}")

    sys.addaudithook(hook)


def unplug_everything(folder: Path) -> bool:
    """Unplug this process and all that it starts; False where that cannot be done here."""
    if sys.platform != "linux":
        return False
    if LIBRARY not in os.environ.get("LD_PRELOAD", ""):  # else whoever started us has done it
        os.environ.update(unplugged(build_network(folder), os.environ))
    unplug_this_process()
    return True


def _name(host: object) -> str:
    if host is None:
        return ""
    return host.decode("ascii", "replace") if isinstance(host, bytes | bytearray) else str(host)


def _is_outside(host: str, own: set[str]) -> bool:
    if host in own:
        return False
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        return True  # another machine's name
    mapped = getattr(address, "ipv4_mapped", None) or address
    return not (mapped.is_loopback or mapped.is_unspecified)
