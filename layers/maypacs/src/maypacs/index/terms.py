"""What people search by: folded names, and the hint rows of a study (protocols: keys, search bounds).

Hints are hints: a search checks every hit against the study row; ingest writes new ones first and removes stale ones
after the study row.

``{a}#T#pid#{2 letters}``, ``{a}#T#acc#{2 letters}``   sk ``{value}#{order}``: one value, newest last; and prefixes
``{a}#T#pn#{word}``, ``{a}#T#pn#{word} {word}``   sk ``{order}``: a word of a name; two of them, in the order of letters
``{a}#T#mod#{modality}``   sk ``{order}``
``{a}#N#{2 letters}``   sk ``{folded name}#{order}``: one whole name, newest last; and prefixes of names
                        sk ``{folded name from one of its later parts on}#~{order}``: prefixes of its words
``{a}#M``               sk ``{yyyymm}``

``order`` (`study_order`) is ``{date}{time}#{study}``, read in reverse: the very order of the by-date index, so that a
list has one order whichever row drove the search.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from itertools import combinations
from typing import Literal

from maypacs.index.rows import ABSENT_MONTH, SCHEMA_VERSION, StudySummary
from maypacs.index.table import Item
from maypacs.uids import ArchiveId, Uid

NO_DATE = "00000000"
#: A value longer than any VR of a key allows is cut in a key; the study row tells the rest.
LONGEST_TERM = 128
_ID_LETTERS = 2
LONGEST_NAME = 256
MOST_PARTS = 8
#: Words of one name, all its groups together, that are found two by two: what three groups hold.
MOST_WORDS = 3 * MOST_PARTS
_MARKS = re.compile("[\u0300-\u036f\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]+")
_LETTERS = str.maketrans({"đ": "d", "ð": "d", "ł": "l", "ø": "o", "ħ": "h", "ŧ": "t", "ı": "i", "æ": "ae", "œ": "oe"})
#: What separates the parts of a name: component and group delimiters, space, comma, full stop, hyphens.
_SEPARATORS = re.compile(r"[\^=\s,.\-\u2010-\u2015]+")
_DROPPED = re.compile(r"['’ʼ`\0]+")


def fold(text: str) -> str:
    """Text as it is compared: no case, no accents, NFC and NFD alike, đ as d, one space where parts of a name meet.

    Only marks that accent letters go; vowel signs of other scripts (Thai, Devanagari, kana's voicing) stay.
    """
    if text.isascii():
        bare = text.lower()
    else:
        bare = _MARKS.sub("", unicodedata.normalize("NFKD", text.casefold())).casefold().translate(_LETTERS)
        bare = unicodedata.normalize("NFC", bare)
    return _SEPARATORS.sub(" ", _DROPPED.sub("", bare)).strip()


@lru_cache(maxsize=8_192)
def name_groups(pn: str) -> tuple[str, ...]:
    """The folded groups of a PN value (alphabetic, ideographic, phonetic), those that hold something."""
    return tuple(folded for folded in map(fold, pn.split("=")) if folded)


def name_tokens(pn: str) -> frozenset[str]:
    """The parts of a PN value that a person may search by, of every group."""
    return frozenset(fold(pn).split())


def tails(folded: str) -> list[str]:
    """A folded name from each of its parts on: "tran thi mau", "thi mau", "mau". A prefix of one is a word's prefix."""
    words = folded.split(" ")
    return [" ".join(words[i:]) for i in range(min(len(words), MOST_PARTS))]


def study_order(date: str, time: str, first_arrival: str, study: Uid) -> str:
    """The key by which lists are ordered, newest first when reversed; studies without a date come last, by arrival."""
    return f"{date}{time:0<6}#{study}" if date else f"{NO_DATE}{first_arrival}#{study}"


def order_of(study: StudySummary) -> str:
    return study_order(study.study_date, study.study_time, study.first_arrival, study.study_instance_uid)


def order_of_row(row: Item) -> str:
    """The order of a study's row, from its keys of the index."""
    gpk: str = row["gpk"]
    order: str = row["gsk"]
    return NO_DATE + order if gpk.endswith(ABSENT_MONTH) else order


def words_pk(archive_id: ArchiveId, *words: str) -> str:
    """The partition of the names with a word, or with two of them in any order (once, when they are the same)."""
    return f"{archive_id}#T#pn#{' '.join(sorted({word[:LONGEST_TERM] for word in words}))}"


def modality_pk(archive_id: ArchiveId, modality: str) -> str:
    return f"{archive_id}#T#mod#{plain(modality)[:LONGEST_TERM]}"


def id_pk(archive_id: ArchiveId, kind: Literal["pid", "acc"], value: str) -> str:
    """The partition of the ids that begin as this one. One row serves the whole id and its beginnings: a partition for
    each value would need a second row for them, one write unit more a study and id."""
    return f"{archive_id}#T#{kind}#{value[:_ID_LETTERS]}"


def id_sk(value: str, order: str) -> str:
    """An id may hold ``#`` itself: who reads a range compares the whole key (`is_row_of_id`)."""
    return f"{value[:LONGEST_TERM]}#{order}"


def is_row_of_id(row: Item, value: str) -> bool:
    return bool(row["sk"] == id_sk(value, row["order"]))


def names_pk(archive_id: ArchiveId, start: str) -> str:
    """The partition of names whose first word starts so: by two letters, or the one letter that is all of the word."""
    return f"{archive_id}#N#{re.split('[ #]', start, maxsplit=1)[0][:2]}"


def name_sk(name: str, order: str) -> str:
    return f"{name[:LONGEST_NAME]}#{order}"


def months_pk(archive_id: ArchiveId) -> str:
    return f"{archive_id}#M"


def by_date_pk(archive_id: ArchiveId, month: str) -> str:
    return f"{archive_id}#D#{month}"


def hint_rows(study: StudySummary) -> list[Item]:
    """Every term, name and month row of a study. Equal rows twice are one row; their order is no promise."""
    archive_id, order = study.archive_id, order_of(study)
    groups = list(dict.fromkeys(group for pn in study.patient_names for group in name_groups(pn)))
    hint = {
        "v": SCHEMA_VERSION,
        "study": study.study_instance_uid,
        "order": order,
        "names": [group[:LONGEST_NAME] for group in groups],
        "modalities": list(study.modalities),
    }
    keys: dict[tuple[str, str], None] = {}
    for value in map(plain, study.patient_ids):
        if value:
            keys[id_pk(archive_id, "pid", value), id_sk(value, order)] = None
    for value in map(plain, study.accession_numbers):
        if value:
            keys[id_pk(archive_id, "acc", value), id_sk(value, order)] = None
    for modality in filter(None, map(plain, study.modalities)):
        keys[modality_pk(archive_id, modality), order] = None
    for pn in dict.fromkeys(study.patient_names):
        words = dict.fromkeys(word for group in name_groups(pn) for word in group.split(" ")[:MOST_PARTS])
        for word in words:
            keys[words_pk(archive_id, word), order] = None
        for two in combinations(list(words)[:MOST_WORDS], 2):
            keys[words_pk(archive_id, *two), order] = None
    if study.number_of_conflicts:
        keys[conflicts_pk(archive_id), order] = None
    for group in groups:
        for tail in tails(group):
            keys[names_pk(archive_id, tail), name_sk(tail, order if tail == group else f"~{order}")] = None
    rows: list[Item] = [{"pk": pk, "sk": sk, **hint} for pk, sk in keys]
    rows.append({"pk": months_pk(archive_id), "sk": study.study_date[:6] or ABSENT_MONTH, "v": SCHEMA_VERSION})
    return rows


def conflicts_pk(archive_id: ArchiveId) -> str:
    """Studies with conflicts that wait for a person."""
    return f"{archive_id}#X"


def plain(value: str) -> str:
    """A text value without the padding of its encoding."""
    return value.strip(" \0")
