"""What drives a search by names and by beginnings of ids: streams of words, ranges of ids read up to a budget."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from heapq import merge
from itertools import islice

from maypacs.index import terms
from maypacs.index.matching import Match, fold_pattern, name_words, text_matches
from maypacs.index.reading import Reader
from maypacs.index.table import Item, StartKey
from maypacs.uids import ArchiveId

LAST = "\U0010ffff"
#: Rows of a word by which it is compared with others; words of one beginning that are read together.
HEAD, MOST_WORDS = 100, 12
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


class WordStream:
    """Hints of all studies with one word in a name, or with a word that begins so, newest first."""

    def __init__(self, reader: Reader, archive_id: ArchiveId, word: Word, between: tuple[str, str], chunk: int) -> None:
        self.reader = reader
        self.archive_id = archive_id
        self.word = word
        self.between = between
        self.chunk = chunk
        self.head: list[Item] = []
        self._rest: Iterator[Item] | None = None

    def open(self) -> None:
        """Reads the newest. What begins too many words stays closed: so many studies match that a scan finds them."""
        tokens = [self.word.start] if self.word.whole else self._tokens()
        if tokens is None:
            return
        pks = [terms.term_pk(self.archive_id, token) for token in tokens]
        rows = [self.reader.rows(pk, between=self.between, reverse=True, chunk=self.chunk) for pk in pks]
        self._rest = merge(*rows, key=_order, reverse=True)
        self.head = list(islice(self._rest, HEAD))

    @property
    def is_open(self) -> bool:
        return self._rest is not None

    @property
    def rarity(self) -> tuple[str, int]:
        """Smaller is rarer: how far back its newest ones reach, how many they are."""
        return _order(self.head[-1]) if len(self.head) == HEAD else "", len(self.head)

    def rows(self) -> Iterator[Item]:
        yield from self.head
        yield from self._rest or ()

    def _tokens(self) -> list[str] | None:
        """The different words that begin so, by skipping from one to the next among the names."""
        pk = terms.names_pk(self.archive_id, self.word.start)
        low, high = self.word.start, self.word.start + LAST
        found: list[str] = []
        while len(found) <= MOST_WORDS:
            row = next(self.reader.rows(pk, between=(low, high), chunk=1, keys_only=True), None)
            if row is None:
                return found
            token = re.split("[ #]", row["sk"], maxsplit=1)[0]
            # The rows of a word go on with a space or with #: words of other signs may lie between these.
            low = token + ("$" if token in found else "!")
            found += [] if token in found else [token]
        return None


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


def phrase_range(name: Match) -> tuple[str, str]:
    """The range of name rows in which the words of a key stand side by side, as typed."""
    phrase = " ".join(name_words(name.value)).partition("*")[0].partition("?")[0]
    return (phrase, phrase + LAST) if name.fuzzy or name.wild else (phrase + " ", phrase + "$")


def beginning(key: Match) -> str:
    """What a text with wildcards begins with."""
    return terms.plain(key.value).partition("*")[0].partition("?")[0]


def id_on_hint(row: Item, key: Match) -> bool:
    value = row["sk"].removesuffix(f"#{row['order']}")
    return len(value) >= terms.LONGEST_TERM or text_matches(value, key.value)
