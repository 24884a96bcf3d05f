"""When each device was seen last: associated, sent an image, answered our C-ECHO, was turned away.

Kept in memory, for it is written at each image, and put into the journal once a heartbeat, so that a restart does not
forget. Anybody can call under any AE title: what no [[device]] names is bounded, and the one unheard for longest goes.
"""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final

#: The cloud takes so many.
MAX_DEVICES: Final = 64
FACT: Final = "devices"
#: What no [[device]] names is told of for so long (seconds) after it was last seen.
_FORGOTTEN: Final = 14 * 86400.0
_CODE_STRING: Final = re.compile("[A-Z0-9_ ]{1,16}")


@dataclass(frozen=True, slots=True)
class Sighting:
    """Seconds since the epoch; None: not seen."""

    ae_title: str
    modality: str = ""
    """Modality (0008,0060) of its last image."""
    heard_at: float | None = None
    """An association, or a C-ECHO in it."""
    image_at: float | None = None
    rejected_at: float | None = None
    """An association of it was rejected, and none was accepted since."""
    echo_at: float | None = None
    """It answered our C-ECHO."""
    echo_failed_at: float | None = None
    """It did not, for the first time since it did."""

    @property
    def last(self) -> float:
        times = (self.heard_at, self.image_at, self.rejected_at, self.echo_at, self.echo_failed_at)
        return max((t for t in times if t is not None), default=0.0)


class Sightings:
    """Threads may share it; nothing here waits for a disk."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[str, Sighting] = {}

    def heard(self, ae_title: str) -> None:
        self._note(ae_title, heard_at=time.time(), rejected_at=None)

    def image(self, ae_title: str) -> None:
        now = time.time()
        self._note(ae_title, image_at=now, heard_at=now)

    def rejected(self, ae_title: str) -> None:
        self._note(ae_title, rejected_at=time.time())

    def is_modality(self, ae_title: str, modality: str) -> None:
        """Only of a device that was seen: what a command handed over has no AE title."""
        if not _CODE_STRING.fullmatch(modality):
            return
        with self._lock:
            known = self._seen.get(ae_title)
            if known is not None and known.modality != modality:
                self._seen[ae_title] = replace(known, modality=modality)

    def echoed(self, ae_title: str) -> None:
        self._note(ae_title, echo_at=time.time(), echo_failed_at=None)

    def echo_failed(self, ae_title: str) -> None:
        with self._lock:
            known = self._seen.get(ae_title)
        if known is None or known.echo_failed_at is None:
            self._note(ae_title, echo_failed_at=time.time())

    def _note(self, ae_title: str, **values: float | None) -> None:
        title = ae_title.strip()
        if not title or len(title) > 16 or not (title.isascii() and title.isprintable()):
            return  # nobody's AE title (PS3.5 6.2)
        with self._lock:
            self._seen[title] = replace(self._seen.get(title) or Sighting(title), **values)  # type: ignore[arg-type]
            if len(self._seen) > 4 * MAX_DEVICES:
                for sighting in sorted(self._seen.values(), key=lambda s: s.last)[: 2 * MAX_DEVICES]:
                    del self._seen[sighting.ae_title]

    def devices(self, configured: Iterable[str]) -> list[Sighting]:
        """The configured ones, seen or not, then those heard last, within a fortnight; at most `MAX_DEVICES`, by AE
        title.
        """
        with self._lock:
            seen = dict(self._seen)
        mine = {title.strip(): seen.pop(title.strip(), Sighting(title.strip())) for title in configured}
        lately = (s for s in seen.values() if time.time() - s.last < _FORGOTTEN)
        others = sorted(lately, key=lambda s: s.last, reverse=True)
        return sorted([*mine.values(), *others][:MAX_DEVICES], key=lambda s: s.ae_title)

    # Across a restart

    def remembered(self) -> str:
        with self._lock:
            return json.dumps([asdict(sighting) for sighting in self._seen.values()])

    def recall(self, facts: Mapping[str, Any]) -> None:
        """Take up what an earlier process remembered; what cannot be read is forgotten."""
        names = {f.name for f in fields(Sighting)}
        try:
            entries = json.loads(facts.get(FACT) or "[]")
            known = [Sighting(**{k: v for k, v in entry.items() if k in names}) for entry in entries]
        except (ValueError, TypeError, AttributeError):
            return
        with self._lock:
            self._seen = {s.ae_title: s for s in known if isinstance(s.ae_title, str)} | self._seen
