"""Folders that the embedded database can use, whoever it runs as."""

import tempfile
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def public_folder():
    """A folder that everybody can reach.

    Not one of pytest's: each run of pytest that starts takes away others' access to the folders of
    all runs, also of those under way.
    """
    with tempfile.TemporaryDirectory(prefix="fastchat-test-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
