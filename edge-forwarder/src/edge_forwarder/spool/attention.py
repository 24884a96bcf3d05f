"""What the cloud would not take as it is: folders of ``attention/``, one an upload, each with a ``reason.json``.

A folder whose reason cannot be read (the disk was full, the power went) is one of an unknown reason, not of none.

Any process may look here and take files away, beside an edge that runs: that one adds to it, and deletes what is old
(`upload.tidying`).
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from edge_forwarder.dicom.peek import identify
from edge_forwarder.durable import sync_folder
from edge_forwarder.errors import UnreadableError
from edge_forwarder.spool import handover

REASON: Final = "reason.json"
_UNKNOWN: Final = "the reason cannot be read"
#: In a folder that is to go: what is in it says why.
NOTICE: Final = "will-be-deleted.txt"
#: The edge finishes with what it sets aside before a file of it is handed over again (seconds).
_SETTLED_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One upload. ``state``: partial (conflicts, single failures), quarantined, unreadable (here, so it never went up)
    or unknown.
    """

    folder: Path
    state: str
    reasons: tuple[str, ...]
    files: tuple[Path, ...]
    reason_of: dict[str, str]
    """By SOP Instance UID, as far as the cloud said."""
    at: float
    """When it was set aside: seconds since the epoch."""
    arrival: str = ""
    """The arrival id of the upload."""

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def bytes(self) -> int:
        """Of its files. Raises OSError."""
        return sum(file.stat().st_size for file in self.files)


def write_reason(folder: Path, told: Mapping[str, Any]) -> None:
    """Say why, whole and durable or not at all, before the first file is moved there. Raises OSError."""
    folder.mkdir(exist_ok=True)
    temporary = folder / f"{REASON}.new"
    try:
        with temporary.open("w", encoding="utf-8") as file:
            file.write(json.dumps({**told, "at": time.time()}, indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(folder / REASON)
    except OSError:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    for changed in (folder, folder.parent):
        sync_folder(changed)


def entries(folder: Path) -> list[Entry]:
    """Oldest first."""
    found = []
    for inside in sorted(folder.iterdir()) if folder.is_dir() else ():
        with contextlib.suppress(OSError):
            if (entry := _entry(inside)) is not None:
                found.append(entry)
    return found


def _entry(folder: Path) -> Entry | None:
    """None: it is none, or none any more. Raises OSError."""
    files = tuple(sorted(folder.glob("*.dcm")))
    try:
        told = json.loads((folder / REASON).read_text(encoding="utf-8"))
        by_uid = {str(i["sop_instance_uid"]): str(i["reason"]) for i in told.get("instances", ())}
        reasons = tuple(str(r) for r in told["reasons"])
        state, at, arrival = str(told["state"]), float(told.get("at") or 0), str(told.get("arrival") or "")
        return Entry(folder, state, reasons, files, by_uid, at, arrival)
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        if not files:
            return None
        at = min(file.stat().st_mtime for file in files)
        return Entry(folder, "unknown", (_UNKNOWN,), files, {}, at)


def count(folder: Path) -> int:
    """How many `entries` there are, without reading them. Raises OSError."""
    return sum((inside / REASON).exists() or any(inside.glob("*.dcm")) for inside in folder.iterdir())


def why(folder: Path, name: str) -> str:
    """Why a file of the spool was set aside, in one line; empty when it was not."""
    for path in folder.glob(f"*/{name}"):
        with contextlib.suppress(OSError):
            if (entry := _entry(path.parent)) is not None:
                return "; ".join(entry.reasons) or entry.state
    return ""


def sop_instance_uid(file: Path) -> str:
    """Of a file that was set aside; empty when it cannot be read."""
    try:
        return identify(file).sop_instance_uid
    except (UnreadableError, OSError):
        return ""


def chosen(entry: Entry, wanted: Collection[str]) -> tuple[Path, ...]:
    """Its files that these names mean: the upload's own, or UIDs of studies, series, instances."""
    if entry.name in wanted:
        return entry.files
    found = []
    for file in entry.files:
        with contextlib.suppress(UnreadableError, OSError):
            i = identify(file)
            if {i.study_instance_uid, i.series_instance_uid, i.sop_instance_uid} & set(wanted):
                found.append(file)
    return tuple(found)


def release(entry: Entry, files: Collection[Path], spool: Path) -> int:
    """Hand files over once more, to be uploaded anew; how many. Raises OSError."""
    time.sleep(max(0.0, min(_SETTLED_SECONDS, entry.at + _SETTLED_SECONDS - time.time())))
    handed = handover.folder(spool)
    done = 0
    for file in files:
        with contextlib.suppress(FileNotFoundError):
            file.rename(handed / file.name)
            done += 1
    sync_folder(handed)
    _tidy(entry)
    return done


def export(entry: Entry, target: Path) -> int:
    """Copy the files and the reason to a folder of that name below ``target``; how many. Raises OSError."""
    to = target / entry.name
    to.mkdir(parents=True, exist_ok=True)
    for path in (*entry.files, entry.folder / REASON):
        if path.name != REASON or path.exists():
            shutil.copyfile(path, to / path.name)
    return len(entry.files)


def discard(entry: Entry) -> int:
    """Delete the files; how many. The cloud keeps its own copy of what it did not take; of what is unreadable here it
    has none. Raises OSError.
    """
    for file in entry.files:
        file.unlink(missing_ok=True)
    _tidy(entry)
    return len(entry.files)


def _tidy(entry: Entry) -> None:
    """Without images the reason is of no use."""
    if not any(entry.folder.glob("*.dcm")):
        with contextlib.suppress(OSError):
            for name in (NOTICE, REASON):
                (entry.folder / name).unlink(missing_ok=True)
            entry.folder.rmdir()
