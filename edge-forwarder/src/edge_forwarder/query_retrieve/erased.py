"""What the cloud erases goes from the cache of images too.

While the cloud can be reached, it says which instances there are, and the cache gives nothing else. It answers alone
only while the cloud is away; so the list of erasures is read at the start, and then every quarter of an hour. One that
is under way is read again until it is done, for an image of it may have been on its way to us.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from edge_forwarder.chore import Chore
from edge_forwarder.cloud.dicomweb import DicomWeb
from edge_forwarder.logs import Log
from edge_forwarder.query_retrieve.cache import Cache

_SECONDS: Final = 900.0
_AGAIN: Final = 30.0
"""After a failure: as soon as the cloud is back, its erasures are the first that we ask for."""
_PAGE: Final = 500


class Erased:
    """One thread. ``position`` is a file: the erasure up to which everything is done, and dropped."""

    def __init__(self, archive: DicomWeb, cache: Cache, position: Path, log: Log) -> None:
        self._archive, self._cache, self._position, self._log = archive, cache, position, log
        complaint = "what the cloud erased is not known for now"
        self._chore = Chore("erased", self._turn, log, again=_AGAIN, complaint=complaint)

    @property
    def is_alive(self) -> bool:
        return self._chore.is_alive

    def start(self) -> None:
        self._chore.start()

    def stop(self, seconds: float = 1.0) -> None:
        self._chore.stop(seconds)

    def _turn(self) -> float:
        if not self._cache.is_empty():  # most edges never read: then there is nothing to ask for
            self.look()
        return _SECONDS

    def look(self) -> int:
        """Drop what was erased since. Returns how many erasures were read. Raises CloudError, OSError."""
        after, count = self._known(), 0
        settled = True
        while page := self._archive.erasures(after, limit=_PAGE):
            for each in page:
                dropped = self._cache.drop(*(_text(each, level) for level in ("study", "series", "instance")))
                if dropped:
                    self._log.info("dropped what the cloud erased", instances=dropped)
                settled = settled and each.get("state") == "done"
                after = _text(each, "erasure_id")
                if settled:
                    self._remember(after)
            count += len(page)
            if len(page) < _PAGE or not after:
                break
        return count

    def _known(self) -> str:
        with suppress(OSError, ValueError):
            return self._position.read_text(encoding="ascii")
        return ""

    def _remember(self, position: str) -> None:
        draft = self._position.with_suffix(".new")
        draft.write_text(position, encoding="ascii")
        draft.replace(self._position)


def _text(entry: dict[str, Any], name: str) -> str:
    value = entry.get(name)
    return value if isinstance(value, str) else ""
