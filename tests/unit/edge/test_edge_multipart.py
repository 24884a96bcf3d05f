"""Multipart messages, read as they come."""

from __future__ import annotations

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_forwarder.cloud.multipart import Parts
from edge_forwarder.errors import CloudAwayError


class Trickle:
    """A source that gives a few bytes at a time."""

    def __init__(self, data: bytes, size: int) -> None:
        self._stream, self._size = BytesIO(data), size

    def read(self, amt: int) -> bytes:
        return self._stream.read(min(amt, self._size))


@given(
    datas=st.lists(st.binary(max_size=300).filter(lambda d: b"--BB" not in d), min_size=1, max_size=5),
    size=st.integers(1, 64),
    preamble=st.booleans(),
)
def test_a_multipart_message_is_read_to_the_byte_however_it_trickles(
    datas: list[bytes], size: int, preamble: bool
) -> None:
    """Parts that are skipped, delimiters across pieces, CRLF inside of parts."""
    body = b"preamble\r\n" if preamble else b""
    for data in datas:
        body += b"--BB\r\nContent-Type: application/dicom\r\n\r\n" + data + b"\r\n"
    body += b"--BB--\r\n"
    assert [b"".join(pieces) for pieces in Parts(Trickle(body, size), "BB")] == datas
    assert sum(1 for _ in Parts(Trickle(body, size), "BB")) == len(datas)
    with pytest.raises(CloudAwayError):
        _ = [list(pieces) for pieces in Parts(Trickle(body[:-6], size), "BB")]
