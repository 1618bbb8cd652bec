"""On what kind of file system a folder lies, as far as Linux says, and whether its locks work."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from errno import EACCES, EAGAIN, EDQUOT, EFBIG, EINVAL, ENOSPC
from pathlib import Path

# SQLite's WAL keeps its index in shared memory, which these cannot share between machines
# (sqlite.org/wal.html, "WAL does not work over a network filesystem").
NETWORK_FILESYSTEMS = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs"),
        *("lustre", "beegfs", "gpfs", "ceph", "glusterfs", "pvfs2"),
        *("fuse.sshfs", "fuse.ceph-fuse", "fuse.glusterfs", "fuse.s3fs", "fuse.rclone"),
    }
)
# Options with which a lock is known to one machine only: nfs(5), "local_lock"; of lustre
# "localflock" and "noflock"; of cifs "nobrl".
LOCAL_LOCKS = frozenset(
    {"nolock", "local_lock=all", "local_lock=posix", "localflock", "noflock", "nobrl"}
)
# What a database may want at once: the index of its WAL has 32 kB, and a record some pages.
WANTED_BYTES = 64 * 1024
FULL_DISK = "the disk is full; free some space"
FULL_QUOTA = "you have used up your part of the disk; free some space"
TOO_LARGE = "no file here may be larger than {limit} kB; raise that limit (ulimit -f)"


@dataclass(frozen=True, slots=True)
class Mount:
    """The type of a file system, such as "ext4" or "nfs4", and the options it was mounted with."""

    kind: str
    options: frozenset[str]

    @property
    def is_network(self) -> bool:
        """Whether other machines may have it too."""
        return self.kind in NETWORK_FILESYSTEMS


def mount_of(folder: Path, procfs: Path = Path("/proc")) -> Mount | None:
    """The file system that holds `folder`; None if unknown.

    Source: proc(5), /proc/pid/mountinfo; the longest mount point that holds the folder, and of
    two on one place the later, which hides the earlier.
    """
    place = os.path.realpath(folder)
    best, found = "", None
    with suppress(OSError, IndexError):
        text = (procfs / "self/mountinfo").read_text(errors="surrogateescape")
        for line in text.splitlines():
            left, _, right = line.partition(" - ")
            mount = left.split(" ")[4].replace("\\040", " ")  # a space, as proc(5) writes it
            inside = place == mount or place.startswith(mount.rstrip("/") + "/")
            if inside and len(mount) >= len(best):
                kind, _, options = right.split(" ")[:3]
                best, found = mount, Mount(kind, frozenset(options.split(",")))
    return found


def locks_work(folder: Path, procfs: Path = Path("/proc")) -> bool:
    """Whether a lock that one process holds on a file in `folder` keeps others out.

    It is tried with a file that is gone at once: a second open file must not get the lock of the
    first (fcntl(2), "open file description locks", which ask the file system as SQLite's do). A
    network file system whose locks stay on one machine has none that work. Where nothing can be
    written or the system has no such locks, they are taken to work.
    """
    mount = mount_of(folder, procfs)
    if mount is not None and mount.is_network and mount.options & LOCAL_LOCKS:
        return False
    try:
        import fcntl

        set_lock = fcntl.F_OFD_SETLK
    except (ImportError, AttributeError):
        return True
    whole = _flock(fcntl.F_WRLCK)
    try:
        with (
            tempfile.NamedTemporaryFile(dir=folder, prefix=".locks-", buffering=0) as one,
            open(one.name, "r+b", buffering=0) as other,  # noqa: PTH123  a second open file
        ):
            try:
                fcntl.fcntl(one, set_lock, whole)
            except OSError as error:
                return error.errno == EINVAL  # a kernel without such locks: nothing is known
            try:
                fcntl.fcntl(other, set_lock, whole)
            except OSError as error:
                return error.errno in (EACCES, EAGAIN)
            return False
    except OSError:
        return True


def no_room(path: Path) -> str | None:
    """Why nothing can be added to a database at `path`, and the one thing to do; None where it
    can, or nothing can be known. It is tried with a file that is gone at once."""
    limit_bytes = _largest_file_bytes()
    parts = [Path(f"{path}{suffix}") for suffix in ("", "-wal", "-shm")]
    sizes = [part.stat().st_size for part in parts if part.exists()]
    too_large = None if limit_bytes is None else TOO_LARGE.format(limit=limit_bytes // 1024)
    if limit_bytes is not None and max(sizes, default=0) + WANTED_BYTES > limit_bytes:
        return too_large
    try:
        with tempfile.TemporaryFile(dir=path.parent, buffering=0) as file:
            if file.write(bytes(WANTED_BYTES)) < WANTED_BYTES:
                return FULL_DISK
            os.fsync(file.fileno())  # a network file system may say it only now
    except OSError as error:
        return {ENOSPC: FULL_DISK, EDQUOT: FULL_QUOTA, EFBIG: too_large}.get(error.errno or 0)
    return None


def _largest_file_bytes() -> int | None:
    """How large a file of this process may become; None without a limit: getrlimit(2)."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return None
    limit_bytes, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    return None if limit_bytes == resource.RLIM_INFINITY else limit_bytes


def _flock(kind: int) -> bytes:
    """A `struct flock` for a whole file: l_type, l_whence, l_start, l_len, l_pid (fcntl(2))."""
    import struct

    return struct.pack("hhqqi", kind, os.SEEK_SET, 0, 0, 0) + bytes(4)
