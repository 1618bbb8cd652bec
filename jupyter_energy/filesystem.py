"""On what kind of file system a folder lies, as far as Linux says."""

from __future__ import annotations

import os
from contextlib import suppress
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


def filesystem_of(folder: Path, procfs: Path = Path("/proc")) -> str | None:
    """The type of the file system that holds `folder`, such as "ext4" or "nfs4"; None if unknown.

    Source: proc(5), /proc/pid/mountinfo; the longest mount point that holds the folder, and of
    two on one place the later, which hides the earlier.
    """
    place = os.path.realpath(folder)
    best, kind = "", None
    with suppress(OSError, IndexError):
        text = (procfs / "self/mountinfo").read_text(errors="surrogateescape")
        for line in text.splitlines():
            left, _, right = line.partition(" - ")
            mount = left.split(" ")[4].replace("\\040", " ")  # a space, as proc(5) writes it
            inside = place == mount or place.startswith(mount.rstrip("/") + "/")
            if inside and len(mount) >= len(best):
                best, kind = mount, right.split(" ")[0]
    return kind
