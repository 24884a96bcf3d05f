"""Multipart bodies of any spelling, read as a stream."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maypacs.errors import PackError
from maypacs.parts import Parts

PIECES = st.lists(st.sampled_from([b"\r\n", b"--", b"-", b"b", b"--b", b"\r", b"\n", b"data", b"\0"]), max_size=12)


class Slow(io.BytesIO):
    """Gives at most three bytes a read."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(3, size) if size and size > 0 else size)


@given(bodies=st.lists(PIECES.map(b"".join), min_size=1, max_size=4), size=st.integers(1, 40), slow=st.booleans())
def test_the_parts_are_what_lies_between_the_delimiters(bodies: list[bytes], size: int, slow: bool) -> None:
    """Whatever pieces the source gives and the reader asks for."""
    bodies = [body for body in bodies if b"\r\n--bb" not in b"\r\n" + body] or [b"x"]
    text = b"".join(b"--bb\r\nContent-Type: application/dicom\r\nX: y\r\n\r\n" + body + b"\r\n" for body in bodies)
    source = (Slow if slow else io.BytesIO)(text + b"--bb--\r\nepilogue")
    found = []
    for part in Parts(source):
        pieces = []
        while piece := part.read(size):
            pieces.append(piece)
        found.append(b"".join(pieces))
    assert found == bodies


def test_a_part_that_is_not_read_is_skipped_and_one_without_a_body_is_empty() -> None:
    """Boundaries may have spaces inside and white space after."""
    text = b"--a b \r\n\r\nfirst\r\n--a b\t\r\nH: 1\r\n\r\n--a b\r\n\r\nthird\r\n--a b--"
    assert [part.read() for number, part in enumerate(Parts(io.BytesIO(text))) if number] == [b"", b"third"]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"--",
        b"--b",
        b"no boundary",
        b"--b\r\nH: 1\r\n",
        b"--b\r\n\r\nbody",
        b"--b\r\n\r\nbody\r\n--b",
        b"--b\r\n\r\nbody\r\n--bee\r\n",
        b"--b\r\n" + b"h" * 20_000 + b"\r\n\r\nx\r\n--b--",
    ],
)
def test_what_is_no_multipart_body_is_an_error(text: bytes) -> None:
    """And ends: nothing is waited for."""
    with pytest.raises(PackError):
        [part.read() for part in Parts(io.BytesIO(text))]
