"""A hospital's numbers, as they are asked for on the command line. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from maypacs_node.home import NodeError

#: Shares of studies in a general hospital; their shapes are those that were counted. On average 476 instances and 48 MB
#: a study, as King Hamad University Hospital published of its own archive. DX has the shape of CR.
MIX: Mapping[str, float] = {"CR": 0.15, "DX": 0.30, "US": 0.22, "CT": 0.19, "MR": 0.12, "MG": 0.02}
_SHAPE = {"DX": "CR"}
_LARGEST_STUDIES_A_DAY = 1_000_000


class CostError(NodeError):
    """Numbers that no hospital has."""


@dataclass(frozen=True, slots=True)
class Hospital:
    studies_per_day: float
    mix: Mapping[str, float] = field(default_factory=lambda: MIX)
    years: float = 5
    edges: int = 1
    reads_per_study: float = 2
    mb_per_study: float | None = None
    """The hospital's own average (1 MB = 1,000,000 bytes); None: what the mix gives."""

    def check(self, known: Mapping[str, object]) -> None:
        """As somebody entered it; ``known``: the shapes that were counted. What a table varies may be above the limits.

        Raises CostError."""
        _within("studies per day", self.studies_per_day, 0.001, _LARGEST_STUDIES_A_DAY)
        _within("years", self.years, 0.1, 50)
        _within("edges", self.edges, 0, 10_000)
        _within("reads per study", self.reads_per_study, 0, 1000)
        if self.mb_per_study is not None:
            _within("MB per study", self.mb_per_study, 0.01, 100_000)
        for modality in self.mix:
            if _SHAPE.get(modality, modality) not in known:
                counted = ", ".join(sorted({*known, *_SHAPE}))
                raise CostError(f"--mix: nobody counted a study of {modality!r}; known: {counted}")

    @property
    def shares(self) -> Mapping[str, float]:
        """By the name of the counted shape; together 1."""
        total = sum(self.mix.values())
        shares: dict[str, float] = {}
        for modality, share in self.mix.items():
            shape = _SHAPE.get(modality, modality)
            shares[shape] = shares.get(shape, 0.0) + share / total
        return shares


def parse_mix(text: str) -> dict[str, float]:
    """``CT=20,MR=10,CR=70``: parts of a whole, whatever their sum. Raises CostError."""
    mix: dict[str, float] = {}
    for entry in text.split(","):
        name, equals, share = entry.partition("=")
        name = name.strip().upper()
        try:
            value = float(share)
        except ValueError:
            value = math.nan
        if not name or not equals or not 0 <= value < math.inf:
            raise CostError(f"--mix: {entry.strip()!r} is not like CT=20")
        if name in mix:
            raise CostError(f"--mix: {name} is there twice")
        mix[name] = value
    if not 0 < sum(mix.values()) < math.inf:
        raise CostError("--mix: the shares have no sum that parts can be taken of")
    return mix


def _within(what: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:  # NaN is in no range
        raise CostError(f"{what}: {least:g} to {most:,.9g} is needed, not {value:,.9g}")
