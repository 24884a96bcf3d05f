"""Reading and writing multipart/related (RFC 2046 5.1, RFC 2387)."""

from __future__ import annotations

from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maypacs.errors import BadRequestError
from maypacs.http import multipart
from maypacs.http.media_types import parse_media_type
from maypacs.http.multipart import OutPart, read_multipart, write_multipart


def _contents(body: bytes, boundary: str) -> list[bytes]:
    return [bytes(part.content) for part in read_multipart(body, boundary)]


@given(st.lists(st.binary(max_size=200), min_size=1, max_size=5))
def test_what_is_written_is_read_back_to_the_byte(contents: list[bytes]) -> None:
    """Whatever the bytes are, line ends and dashes included."""
    body, content_type = write_multipart([OutPart("application/dicom", c, "/x") for c in contents], "application/dicom")
    assert _contents(body, parse_media_type(content_type).parameters["boundary"]) == contents


@pytest.mark.parametrize("window", [1, 3, 8, 1 << 20])
@given(
    body=st.binary(max_size=80) | st.lists(st.sampled_from([b"--B", b"--", b"\r\n", b"\n", b"x", b":"])).map(b"".join)
)
def test_a_mapped_body_is_read_as_bytes_are(window: int, body: bytes) -> None:
    """Wherever the windows end in which it is searched: the same parts, or the same refusal."""

    def read(sent: bytes | memoryview) -> list[tuple[object, bytes]] | str:
        try:
            return [(part.headers, bytes(part.content)) for part in read_multipart(sent, "B")]
        except BadRequestError as error:
            return str(error)

    with patch.object(multipart._Bytes, "_WINDOW", window):
        assert read(memoryview(b"--B\r\n" + body)) == read(b"--B\r\n" + body)


def test_parts_are_windows_of_the_body() -> None:
    """Not copies: a body may be as large as a disc."""
    body = bytearray(b"--B\r\n\r\nx\r\n--B--")
    (part,) = read_multipart(memoryview(body), "B")
    body[7 + body[7:].index(b"x")] = ord("y")
    assert part.content == b"y"


@given(st.binary(max_size=400))
def test_no_body_breaks_the_reader(body: bytes) -> None:
    """Hostile input ends in parts or in a bad request."""
    try:
        parts = _contents(b"--B\r\n" + body, "B")
    except BadRequestError:
        return
    assert all(isinstance(p, bytes) for p in parts)


def test_preamble_epilogue_bare_line_feeds_and_padding_are_tolerated() -> None:
    """What real senders do."""
    body = b"preamble\r\n--B  \r\nContent-Type: application/dicom\r\n\r\none\r\n"
    body += b"--B\nContent-Type: x/y\n\ntwo\n--B--\r\nepilogue --B"
    assert _contents(body, "B") == [b"one", b"two"]


def test_a_boundary_inside_of_content_is_content() -> None:
    """Only at the start of a line is it a delimiter, and only when the line ends there."""
    body = b"--B\r\n\r\nx--B\r\n--Bx\r\ny\r\n--B--"
    assert _contents(body, "B") == [b"x--B\r\n--Bx\r\ny"]


def test_part_headers_are_read_in_any_case() -> None:
    """RFC 2045: field names have no case."""
    part = next(read_multipart(b"--B\r\nCONTENT-type: application/dicom\r\n\r\nz\r\n--B--", "B"))
    assert part.headers == {"content-type": "application/dicom"}


@pytest.mark.parametrize(
    ("body", "boundary", "reason"),
    [
        (b"--B\r\n\r\nx\r\n--B--", "", "no boundary parameter"),
        (b"no delimiter at all", "B", "a boundary that does not occur"),
        (b"--B\r\nContent-Type: application/dicom\r\n\r\ncut short", "B", "no closing delimiter"),
        (b"--B\r\nno colon here\r\n\r\nx\r\n--B--", "B", "a malformed header"),
        (b"--B\r\nA: " + b"x" * 20_000 + b"\r\n\r\nx\r\n--B--", "B", "endless headers"),
    ],
    ids=lambda v: v if isinstance(v, str) and " " in v else "",
)
def test_a_body_that_is_not_multipart_is_a_bad_request(body: bytes, boundary: str, reason: str) -> None:
    """400, never a guess."""
    with pytest.raises(BadRequestError):
        _contents(body, boundary)
