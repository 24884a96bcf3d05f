"""Whose images the spool holds, and whose the edge's memory is: what is one archive's never serves another.

An edge that gets the key of another archive must not send it what waits here, or was set aside. When nothing does, its
databases (what was sent, promised, imported, migrated) go to a folder of their archive, ``of-<archive>``, and come back
with its key. Its cache of images is emptied: it holds nothing that the archive has not.
"""

from __future__ import annotations

import errno
import re
import shutil
from pathlib import Path
from typing import Final
from urllib.parse import quote

from edge_forwarder.config import write_private
from edge_forwarder.durable import sync_folder
from edge_forwarder.errors import ConfigError
from edge_forwarder.spool.layout import Layout

_FILE: Final = "archive"
#: What there is of the edge's memory, the files of SQLite beside each included.
_DATABASES: Final = "*.sqlite*"
#: In the cache: a study, and up to where the archive's erasures are known.
_CACHED: Final = re.compile(r"[0-9.]{1,64}|erased")


def check_tenant(spool: Path, archive: str) -> None:
    """Raises ConfigError when images of another archive are in this spool."""
    known = _known(spool)
    if known in ("", archive):
        return
    layout = Layout(spool)
    waiting = sum(1 for folder in (layout.received, layout.handed) for _ in folder.glob("*.dcm"))
    aside = sum(1 for _ in layout.attention.glob("*/*.dcm"))
    words = [f"{waiting} images in {spool} wait for archive {known}"] if waiting else []
    words += [f"{aside} images that archive {known} did not take are in {layout.attention}"] if aside else []
    if words:
        raise ConfigError(
            f"{' and '.join(words)}, and the key is of archive {archive}: enrol with a code of {known}"
            f"{', see to them (maypacs-edge quarantine)' if aside else ''}, or use another spool"
        )


def note_tenant(spool: Path, archive: str, cache: Path) -> None:
    """From now on the spool is this archive's. To be called before a database is open; what a crash left undone is done
    by the next call. Raises ConfigError as `check_tenant` does, OSError.
    """
    check_tenant(spool, archive)
    known = _known(spool)
    if known not in ("", archive):
        _empty(cache)
        _move(spool, _home(spool, known))
    if known != archive:
        write_private(spool / _FILE, archive + "\n")
    home = _home(spool, archive)
    if home.is_dir():
        _move(home, spool)
        try:
            home.rmdir()
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):  # what somebody else put there stays
                raise


def _known(spool: Path) -> str:
    """Empty when nobody's, or when it cannot be read: then it is whose key there is."""
    try:
        return (spool / _FILE).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _home(spool: Path, archive: str) -> Path:
    return spool / f"of-{quote(archive, safe='')}"


def _move(here: Path, there: Path) -> None:
    """The databases; durable."""
    there.mkdir(exist_ok=True, mode=0o750)
    for path in sorted(here.glob(_DATABASES)):
        path.rename(there / path.name)
    for folder in (there, here):
        sync_folder(folder)


def _empty(cache: Path) -> None:
    if not cache.is_dir():
        return
    for path in cache.iterdir():
        if _CACHED.fullmatch(path.name):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
