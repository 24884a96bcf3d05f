"""A world that fails at the n-th step: before it happens, or after it did but before anybody heard of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.support.memory_objects import MemoryObjects

from maypacs.errors import StorageError, TableError
from maypacs.index.table import Consumed, Table

_STEPS = {"put", "update", "delete", "copy", "join", "delete_version"}


class Power:
    """Counts the steps that change anything, and fails at one of them."""

    def __init__(self, fails_at: int | None, *, after: bool) -> None:
        self.fails_at, self.after = fails_at, after
        self.steps = 0

    def step(self, fault: Exception, act: Callable[[], Any]) -> Any:
        self.steps += 1
        if self.steps != self.fails_at:
            return act()
        if self.after:
            act()
        raise fault


class FaultyTable:
    """The table port over another table, on `Power`."""

    def __init__(self, inner: Table, power: Power) -> None:
        self._inner, self._power = inner, power

    @property
    def consumed(self) -> Consumed:
        return self._inner.consumed

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        if name not in _STEPS:
            return method
        return lambda *a, **k: self._power.step(TableError("the power went"), lambda: method(*a, **k))


class FaultyObjects:
    """The object store port over the one in memory, on `Power`."""

    def __init__(self, inner: MemoryObjects, power: Power) -> None:
        self._inner, self._power = inner, power

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)
        if name not in _STEPS:
            return method
        return lambda *a, **k: self._power.step(StorageError("the power went"), lambda: method(*a, **k))
