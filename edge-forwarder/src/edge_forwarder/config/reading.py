"""One TOML table into one frozen section: only keys that exist, only values of their type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from difflib import get_close_matches
from typing import Any, Final, TypeVar

from edge_forwarder.errors import ConfigError


class Section:
    """What every section is: a frozen dataclass of strings, numbers and lists."""

    __slots__ = ()

    def check(self) -> None:
        """Raises ConfigError for values that are of their type and yet wrong."""


#: The types of values as people call them.
_WORDS: Final[Mapping[str, str]] = {
    "str": 'a text, in quotes: "…"',
    "int": "a whole number, not negative",
    "float": "a number, not negative",
    "bool": "true or false",
    "tuple[str, ...]": 'a list of texts: ["…", "…"]',
    "Mapping[str, str]": 'a table of texts: { CT = "…" }',
    "Mapping[str, float]": "a table of numbers, not negative: { US = 60.0 }",
}

AnySection = TypeVar("AnySection", bound=Section)


def read_section(cls: type[AnySection], name: str, raw: Any) -> AnySection:
    """Raises ConfigError, which names the key."""
    if not isinstance(raw, Mapping):
        raise ConfigError(f"[{name}] must be a table")
    known = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, value in raw.items():
        if key not in known:
            near = get_close_matches(key, known, n=1)
            raise ConfigError(f"[{name}] has no key {key}{f': is {near[0]} meant?' if near else ''}")
        values[key] = _value(f"[{name}] {key}", str(known[key].type), value)
    section = cls(**values)
    section.check()
    return section


def _value(where: str, kind: str, value: Any) -> Any:
    good = {
        "str": lambda v: isinstance(v, str),
        "int": lambda v: isinstance(v, int) and not isinstance(v, bool) and v >= 0,
        "float": lambda v: isinstance(v, int | float) and not isinstance(v, bool) and v >= 0,
        "bool": lambda v: isinstance(v, bool),
        "tuple[str, ...]": lambda v: isinstance(v, list) and all(isinstance(x, str) for x in v),
        "Mapping[str, str]": lambda v: isinstance(v, dict) and all(isinstance(x, str) for x in v.values()),
        "Mapping[str, float]": lambda v: (
            isinstance(v, dict)
            and all(isinstance(x, int | float) and not isinstance(x, bool) and x >= 0 for x in v.values())
        ),
    }
    if not good[kind](value):
        raise ConfigError(f"{where} must be {_WORDS[kind]}")
    return tuple(value) if kind.startswith("tuple") else float(value) if kind == "float" else value
