"""What drives a search by names, modalities and beginnings of ids: streams of hints, ranges of keys up to a budget."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from heapq import merge
from itertools import combinations, islice, product

from maypacs.index import terms
from maypacs.index.matching import Match, fold_pattern, name_words, text_matches
from maypacs.index.reading import Reader, gather
from maypacs.index.table import Item, StartKey
from maypacs.uids import ArchiveId

LAST = "\U0010ffff"
#: Rows by which streams are compared with each other; words of one beginning, or pairs of words, read together.
HEAD, MOST_TERMS = 40, 12
#: Rows of the first page of each of many partitions.
_SHARE = 10
#: Letters that a beginning needs to be looked up: the partitions of names and ids have two.
SHORTEST = 2


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


class Stream:
    """Hints of all studies that have one of a few terms, newest first."""

    def __init__(self, reader: Reader, pks: Sequence[str], between: tuple[str, str], chunk: int) -> None:
        """``pks``: a partition a term. ``chunk``: how many rows are wanted at first, of all of them together."""
        self._reader = reader
        chunk = chunk if len(pks) == 1 else chunk // len(pks) + _SHARE
        self._pages = [reader.rows(pk, between=between, reverse=True, chunk=chunk) for pk in pks]
        self._rows: Iterator[Item] = iter(())
        self._head: list[Item] = []

    def open(self) -> None:
        """Reads the newest, of all partitions at once."""
        first = gather(self._reader.table, [partial(next, pages, None) for pages in self._pages])
        begun = [_after(row, pages) for row, pages in zip(first, self._pages, strict=True) if row is not None]
        self._rows = merge(*begun, key=_order, reverse=True)
        self._head = list(islice(self._rows, HEAD))

    @property
    def rarity(self) -> tuple[str, int]:
        """Smaller is rarer: how far back its newest ones reach, how many they are."""
        return _order(self._head[-1]) if len(self._head) == HEAD else "", len(self._head)

    def rows(self) -> Iterator[Item]:
        yield from self._head
        yield from self._rows


def name_terms(reader: Reader, archive_id: ArchiveId, words: Sequence[Word]) -> list[list[str]]:
    """Of which partitions each may drive a search for a name with these words: of two words together where there are
    two, of one where there is one; none where so many words begin so that a scan finds the studies."""
    known = [each for each in gather(reader.table, [partial(_spellings, reader, archive_id, w) for w in words]) if each]
    if len(known) == 1:
        return [[terms.words_pk(archive_id, word) for word in known[0]]]
    pairs = [
        list(dict.fromkeys(terms.words_pk(archive_id, *two) for two in product(*p))) for p in combinations(known, 2)
    ]
    few = [pks for pks in pairs if len(pks) <= MOST_TERMS]
    return few or [[terms.words_pk(archive_id, word) for word in each] for each in known]


def _spellings(reader: Reader, archive_id: ArchiveId, word: Word) -> list[str] | None:
    """The word, or the different words that begin so, by skipping from one to the next among the names."""
    if word.whole:
        return [word.start]
    pk = terms.names_pk(archive_id, word.start)
    low, high = word.start, word.start + LAST
    found: list[str] = []
    while len(found) <= MOST_TERMS:
        row = next(reader.rows(pk, between=(low, high), chunk=1, keys_only=True), None)
        if row is None:
            return found or [word.start]
        token = re.split("[ #]", row["sk"], maxsplit=1)[0]
        # The rows of a word go on with a space or with #: words of other signs may lie between these.
        low = token + ("$" if token in found else "!")
        found += [] if token in found else [token]
    return None


def _after(row: Item, rows: Iterator[Item]) -> Iterator[Item]:
    yield row
    yield from rows


def _order(row: Item) -> str:
    order: str = row["order"]
    return order


@dataclass(frozen=True, slots=True)
class Word:
    start: str
    whole: bool


def name_words_of(name: Match) -> list[Word]:
    """Words, or beginnings of words, that every name has that matches; none when a key begins with a wildcard."""
    if name.fuzzy:
        starts = [word.partition("*")[0].partition("?")[0] for word in name_words(name.value)]
        return [Word(start, False) for start in dict.fromkeys(starts) if len(start) >= SHORTEST]
    if name.wild:
        start = fold_pattern(name.value).partition("*")[0].partition("?")[0]
        *whole, last = start.split(" ")
        found = [Word(word, True) for word in dict.fromkeys(whole[: terms.MOST_PARTS]) if word]
        return [*found, Word(last, False)] if len(last) >= SHORTEST and len(whole) < terms.MOST_PARTS else found
    return [Word(word, True) for word in dict.fromkeys(name_words(name.value))]


def phrase_range(name: Match) -> tuple[str, str] | None:
    """The range of name rows of all names that begin as a key with wildcards does; None when no partition holds it."""
    phrase = fold_pattern(name.value).partition("*")[0].partition("?")[0].rstrip(" ")[: terms.LONGEST_NAME]
    return (phrase, phrase + LAST) if name.wild and not name.fuzzy and len(phrase) >= SHORTEST else None


def beginning(key: Match) -> str:
    """What a text with wildcards begins with."""
    return terms.plain(key.value).partition("*")[0].partition("?")[0]


def id_on_hint(row: Item, key: Match) -> bool:
    value = row["sk"].removesuffix(f"#{row['order']}")
    return len(value) >= terms.LONGEST_TERM or text_matches(value, key.value)
