"""Answers that are lists of ranges: the bytes of any window, and what a list may name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maypacs.archive.assembled import Assembled, assembled
from maypacs.archive.objects import CopyRange
from maypacs.errors import StorageError

ROOT = "blobs/packs/hosp1/1.2/1.2.3"
OBJECTS = {f"{ROOT}/{name}": bytes((start + n) % 256 for n in range(50)) for name, start in (("a", 0), ("b", 100))}

RANGES = st.builds(
    lambda key, offset, length: CopyRange(key, offset, min(length, 50 - offset)),
    st.sampled_from(sorted(OBJECTS)),
    st.integers(0, 49),
    st.integers(0, 50),
)
PIECES = st.lists(RANGES | st.binary(max_size=9), max_size=8)


def bytes_of(pieces: list[CopyRange | bytes]) -> bytes:
    out = b""
    for piece in pieces:
        if isinstance(piece, bytes):
            out += piece
        else:
            assert piece.length is not None
            out += OBJECTS[piece.key][piece.offset : piece.offset + piece.length]
    return out


@given(PIECES, st.integers(0, 120), st.integers(0, 120))
def test_a_window_has_the_bytes_of_the_whole(pieces: list[CopyRange | bytes], start: int, end: int) -> None:
    """Whatever it is cut from, and after a way through JSON."""
    listed = assembled("a/b", pieces)
    whole = bytes_of(pieces)
    assert listed.size == len(whole)
    assert Assembled.decode(listed.encode(), "hosp1") == listed
    assert bytes_of(list(listed.between(start, end))) == whole[start:end]


def test_neighbours_are_one_range() -> None:
    """A series of one pack is one request to the store."""
    key = f"{ROOT}/a"
    listed = assembled("a/b", [b"<", b"|", CopyRange(key, 0, 5), CopyRange(key, 5, 7), CopyRange(key, 13, 1)])
    assert listed.pieces == (b"<|", CopyRange(key, 0, 12), CopyRange(key, 13, 1))


@pytest.mark.parametrize(
    "key", ["blobs/packs/hosp10/1.2/1.2.3/a", "blobs/exports/hosp1/x", "meta/hosp1/1.2/1.2.3/a", "secrets"]
)
def test_a_list_reaches_no_further_than_the_packs_of_its_archive(key: str) -> None:
    """Whoever could write a list must not read with it."""
    with pytest.raises(StorageError):
        Assembled.decode(assembled("a/b", [CopyRange(key, 0, 1)]).encode(), "hosp1")


@pytest.mark.parametrize("text", [b"", b"{}", b"[1]", b'{"content_type":"a/b","pieces":[{}]}', b"\xff"])
def test_what_is_no_list_is_a_storage_error(text: bytes) -> None:
    """It was cut, or is something else."""
    with pytest.raises(StorageError):
        Assembled.decode(text, "hosp1")
