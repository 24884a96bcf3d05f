"""Prices out of a dated file (`prices/<region>.toml`): each with its unit, its source and how it was verified."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maypacs_node.home import NodeError

FILES = Path(__file__).with_name("prices")


class PriceError(NodeError):
    """A price file that is not there, or says nonsense; the text names the place in it."""


@dataclass(frozen=True, slots=True)
class Price:
    """In dollars for one `unit`. `tiers`: (up to so much a month, price), the last without an end."""

    usd: float
    unit: str
    source: str
    checked: str
    tiers: tuple[tuple[float, float], ...]
    free: float = 0.0  #: a month, for as long as one is a customer

    def cost(self, quantity: float, *, free: bool = False) -> float:
        """Of so much in a month; the first tier's price for its first part, and so on."""
        left = max(0.0, quantity - (self.free if free else 0.0))
        total = begin = 0.0
        for end, usd in self.tiers:
            part = min(left, end - begin)
            total, left, begin = total + part * usd, left - part, end
            if left <= 0:
                break
        return total


@dataclass(frozen=True, slots=True)
class Plan:
    """A flat rate a month for the front door, up to so many GB and requests."""

    name: str
    usd: float
    gb: float
    requests: float


@dataclass(frozen=True, slots=True)
class PriceList:
    region: str
    place: str
    date: str
    prices: Mapping[str, Price]
    plans: tuple[Plan, ...] = ()

    def price(self, name: str) -> Price:
        """Raises PriceError: a usage without a price would be a bill that is too small."""
        try:
            return self.prices[name]
        except KeyError:
            raise PriceError(f"the price file of {self.region} has no price.{name}") from None


def regions() -> list[str]:
    return sorted(path.stem for path in FILES.glob("*.toml"))


def load(region: str, file: Path | None = None) -> PriceList:
    """The prices of a region that is known here, or those of a file. Raises PriceError."""
    path = file or FILES / f"{region}.toml"
    if file is None and region not in regions():
        raise PriceError(f"no prices of the region {region!r} are known here: give --prices FILE, or {_listed()}")
    try:
        text = path.read_text(encoding="utf-8")
        document = tomllib.loads(text)
    except OSError as error:
        raise PriceError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PriceError(f"{path} is not TOML: {error}") from None
    entries = document.get("price")
    if not isinstance(entries, dict) or not entries:
        raise PriceError(f"{path} has no [price.…]")
    prices = {name: _price(f"{path.name}: price.{name}", entry) for name, entry in entries.items()}
    named = [document.get(name) for name in ("region", "place", "date")]
    if not all(isinstance(each, str) and each for each in named):
        raise PriceError(f"{path}: region, place and date are needed")
    plans = tuple(_plan(f"{path.name}: plan.{name}", name, entry) for name, entry in document.get("plan", {}).items())
    return PriceList(str(named[0]), str(named[1]), str(named[2]), prices, plans)


def _plan(place: str, name: str, entry: Any) -> Plan:
    if not isinstance(entry, dict):
        raise PriceError(f"{place}: a table is needed")
    return Plan(name, *(_amount(f"{place}.{member}", entry.get(member)) for member in ("usd", "gb", "requests")))


def _listed() -> str:
    return "one of: " + ", ".join(regions())


def _price(place: str, entry: Any) -> Price:
    if not isinstance(entry, dict):
        raise PriceError(f"{place}: a table is needed")
    texts = [entry.get(name) for name in ("unit", "source", "checked")]
    if not all(isinstance(each, str) and each for each in texts):
        raise PriceError(f"{place}: unit, source and checked are needed")
    usd = _amount(f"{place}.usd", entry.get("usd"))
    tiers = entry.get("tiers", [[math.inf, usd]])
    if not isinstance(tiers, list) or not all(isinstance(tier, list) and len(tier) == 2 for tier in tiers):
        raise PriceError(f"{place}.tiers: pairs of an end and a price are needed")
    steps = tuple((_amount(f"{place}.tiers", end), _amount(f"{place}.tiers", price)) for end, price in tiers)
    ends = [end for end, _ in steps]
    if not steps or ends != sorted(set(ends)) or ends[-1] != math.inf:
        raise PriceError(f"{place}.tiers: the ends rise, and the last is inf")
    if steps[0][1] != usd:
        raise PriceError(f"{place}: usd is the price of the first tier")
    unit, source, checked = map(str, texts)
    return Price(usd, unit, source, checked, steps, _amount(f"{place}.free", entry.get("free", 0)))


def _amount(place: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value) or value < 0:
        raise PriceError(f"{place}: a number of 0 or more is needed")
    return float(value)
