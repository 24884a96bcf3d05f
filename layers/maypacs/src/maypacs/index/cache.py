"""What a process remembers of an archive: things that never change under their key."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Any
from weakref import WeakKeyDictionary


class Lru:
    """Least recently used out first, bounded by instances; one a process and bucket, shared by its threads."""

    def __init__(self, instances: int = 100_000) -> None:
        self._room = instances
        self._held = 0
        self._entries: OrderedDict[Any, Any] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Any) -> Any:
        with self._lock:
            if key in self._entries:
                self._entries.move_to_end(key)
            return self._entries.get(key)

    def put(self, key: Any, value: Any) -> None:
        with self._lock:
            self._held += _weight(value) - _weight(self._entries.pop(key, None))
            self._entries[key] = value
            while self._held > self._room and len(self._entries) > 1:
                self._held -= _weight(self._entries.popitem(last=False)[1])


def _weight(value: Any) -> int:
    """Instances it holds: a table is a tuple of them, contents have one."""
    return 0 if value is None else len(getattr(value, "instances", value))


_CACHES: WeakKeyDictionary[Any, Lru] = WeakKeyDictionary()
_CACHES_LOCK = threading.Lock()


def cache_of(owner: Any) -> Lru:
    """The cache that lives as long as its owner (the archive's object store, one a process)."""
    with _CACHES_LOCK:
        found = _CACHES.get(owner)
        if found is None:
            found = _CACHES[owner] = Lru()
        return found
