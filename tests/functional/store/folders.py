"""Folders that the embedded database can use, whoever it runs as."""

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

MEMORY = Path("/dev/shm")
ROOM = 2 << 30  # bytes


@contextmanager
def public_folder(*, on_disk=False):
    """A folder that everybody can reach, in memory where there is room for it.

    On disk are the databases of tests that crash a server under load: there a COMMIT takes time,
    so that much is under way at any moment.

    Not one of pytest's: each run of pytest that starts takes away others' access to the folders of
    all runs, also of those under way.
    """
    parent = MEMORY if not on_disk and has_room(MEMORY) else None
    with tempfile.TemporaryDirectory(
        prefix="fastchat-test-", dir=parent, ignore_cleanup_errors=True
    ) as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def has_room(folder):
    """Whether a folder exists, holds a database, and programs in it can be run."""
    if not folder.is_dir():
        return False
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize >= ROOM and not found.f_flag & os.ST_NOEXEC
