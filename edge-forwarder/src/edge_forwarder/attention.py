"""What the cloud would not take as it is: folders of ``attention/``, one an upload, each with a ``reason.json``.

Any process may look and, by renames alone, take files away: the edge that runs only ever adds to it.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path

REASON = "reason.json"


@dataclass(frozen=True, slots=True)
class Entry:
    """One upload. ``state``: partial (conflicts, single failures) or quarantined. ``at``: seconds since the epoch."""

    folder: Path
    state: str
    reasons: tuple[str, ...]
    files: tuple[Path, ...]
    reason_of: dict[str, str]
    """By SOP Instance UID, as far as the cloud said."""
    at: float = 0.0

    @property
    def name(self) -> str:
        return self.folder.name


def entries(folder: Path) -> list[Entry]:
    """Oldest first. What cannot be read is left out."""
    found = []
    for reason in sorted(folder.glob(f"*/{REASON}")):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            told = json.loads(reason.read_text(encoding="utf-8"))
            by_uid = {i["sop_instance_uid"]: str(i["reason"]) for i in told.get("instances", ())}
            files = tuple(sorted(reason.parent.glob("*.dcm")))
            reasons = tuple(str(r) for r in told["reasons"])
            found.append(Entry(reason.parent, str(told["state"]), reasons, files, by_uid, float(told.get("at") or 0)))
    return found


def why(folder: Path, name: str) -> str:
    """Why a file of the spool was set aside, in one line; empty when it was not."""
    for path in folder.glob(f"*/{name}"):
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            told = json.loads((path.parent / REASON).read_text(encoding="utf-8"))
            return "; ".join(told["reasons"]) or str(told["state"])
    return ""
