"""Ranges of name and id rows that hold all a key may match, read up to a budget: the one that ends drives a search."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from maypacs.index import terms
from maypacs.index.matching import Match, fold_pattern, is_words, name_words, text_matches
from maypacs.index.reading import Reader
from maypacs.index.table import Item, StartKey

LAST = "\U0010ffff"


class Probe:
    """The names or ids of one range, read up to a budget; those that ``wanted`` refuses are examined, not kept."""

    def __init__(
        self,
        reader: Reader,
        pk: str,
        between: tuple[str, str],
        wanted: Callable[[Item], bool] = lambda _: True,
    ) -> None:
        self.reader = reader
        self.pk = pk
        self.between = between
        self._wanted = wanted
        self.rows: list[Item] = []
        self.ended = False
        self._start: StartKey | None = None

    def read(self, budget: int) -> None:
        while budget > 0 and not self.ended:
            page = self.reader.page(self.pk, between=self.between, limit=budget, start=self._start)
            self.rows += filter(self._wanted, page.items)
            budget -= max(1, len(page.items))
            self._start, self.ended = page.next, page.next is None


def name_ranges(name: Match) -> list[tuple[str, str]]:
    """Ranges of name rows, each of which holds every name that matches; none when a key begins with a wildcard.

    A whole name needs none: its rows are read in their order.
    """
    if name.fuzzy:
        starts = [word.partition("*")[0].partition("?")[0] for word in name_words(name.value)]
        return [(start, start + LAST) for start in dict.fromkeys(starts) if len(start) >= 2]
    if name.wild:
        start = fold_pattern(name.value).partition("*")[0].partition("?")[0].rstrip(" ")
        return [(start, start + LAST)] if len(start) >= 2 else []
    if is_words(name.value):
        # A name row goes on with a space (the next word) or with # (its end); $ is beyond both.
        return [(word + " ", word + "$") for word in dict.fromkeys(name_words(name.value))]
    return []


def phrase_range(name: Match) -> tuple[str, str]:
    """The range of name rows in which the words of a key stand side by side, as typed."""
    phrase = " ".join(name_words(name.value)).partition("*")[0].partition("?")[0]
    return (phrase, phrase + LAST) if name.fuzzy else (phrase + " ", phrase + "$")


def beginning(key: Match) -> str:
    """What a text with wildcards begins with."""
    return terms.plain(key.value).partition("*")[0].partition("?")[0]


def id_on_hint(row: Item, key: Match) -> bool:
    value = row["sk"].removesuffix(f"#{row['order']}")
    return len(value) >= terms.LONGEST_TERM or text_matches(value, key.value)


def shortest(probes: Iterable[Probe]) -> Probe | None:
    return min((probe for probe in probes if probe.ended), key=lambda probe: len(probe.rows), default=None)
