"""The pack grammar, to the byte, with two outside judges: Python's email parser and dicomweb-client."""

from __future__ import annotations

import email.parser
import email.policy
import hashlib
from collections.abc import Sequence

import pytest
import requests
from dicomweb_client.web import DICOMwebClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from maypacs.errors import PackError
from maypacs.pack import grammar
from maypacs.pack.concatenate import PackExtent, Span, plan, plan_ranges
from maypacs.pack.grammar import Instance, WrittenPack, boundary, pack_id, plan_pack, scan_pack, write_pack
from maypacs.uids import ArchiveId, Uid

ARCHIVE = ArchiveId("hung-yen")
SECRET = bytes(range(32))
STUDY, SERIES = Uid("1.2.3"), Uid("1.2.3.4")
SYNTAX = "1.2.840.10008.1.2.1"
BOUNDARY = boundary(SECRET, ARCHIVE, STUDY)


def instance(data: bytes, number: int = 1, series: Uid = SERIES) -> Instance:
    return Instance(data, SYNTAX, STUDY, series, Uid(f"1.2.3.4.{number}"))


def pack(*contents: bytes) -> WrittenPack:
    return write_pack([instance(c, n) for n, c in enumerate(contents, 1)], archive_id=ARCHIVE, secret=SECRET)


#: Bytes that look like the grammar's own.
CONTENTS = st.lists(
    st.one_of(
        st.binary(max_size=300),
        st.sampled_from((b"", b"\r\n", b"--", b"-", b"\r\n--", b"\r\n\r\n", b"Content-Type: ", BOUNDARY.encode()[:20])),
    ),
    min_size=1,
    max_size=5,
)


def test_a_pack_is_spelled_exactly_so() -> None:
    """Every byte of a pack of one instance."""
    assert (
        pack(b"DICM...").data
        == (
            f"--{BOUNDARY}\r\n"
            "Content-Type: application/dicom; transfer-syntax=1.2.840.10008.1.2.1\r\n"
            "Content-Length: 7\r\n"
            "Content-Location: /dicomweb/hung-yen/studies/1.2.3/series/1.2.3.4/instances/1.2.3.4.1\r\n"
            "\r\n"
            "DICM...\r\n"
            f"--{BOUNDARY}--\r\n"
        ).encode()
    )


@given(CONTENTS)
def test_what_was_written_is_scanned_back(contents: list[bytes]) -> None:
    """Parts, offsets and bytes; from bytes and from a memoryview."""
    written = pack(*contents)
    for data in (written.data, memoryview(written.data)):
        scanned = scan_pack(data)
        assert scanned.parts == written.parts
        assert scanned.boundary == written.boundary
    assert [written.data[p.offset : p.offset + p.length] for p in written.parts] == contents
    assert [p.uids for p in written.parts] == [(STUDY, SERIES, f"1.2.3.4.{n}") for n in range(1, len(contents) + 1)]


@given(CONTENTS)
def test_email_parser_and_dicomweb_client_read_our_packs(contents: list[bytes]) -> None:
    """Two multipart readers that are not ours find the same bytes."""
    written = pack(*contents)
    assert decoded_by_dicomweb_client(written.data, written.content_type) == contents
    readable = [c for c in contents if c.isascii() and b"\r" not in c and b"\n" not in c]
    if readable == contents:  # the email parser reads text lines
        message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(
            f"Content-Type: {written.content_type}\r\n\r\n".encode() + written.data
        )
        assert not message.defects
        assert [part.get_payload(decode=True) for part in message.iter_parts()] == contents


def decoded_by_dicomweb_client(data: bytes, content_type: str) -> list[bytes]:
    response = requests.Response()
    response.headers["content-type"] = content_type
    response._content = data
    client = DICOMwebClient("http://127.0.0.1:9/")
    return [bytes(part) for part in client._decode_multipart_message(response, stream=False)]


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(CONTENTS, st.data())
def test_a_mutated_pack_is_refused_or_still_a_pack(contents: list[bytes], draw: st.DataObject) -> None:
    """Cut, overwritten, doubled: PackError or a valid pack, and nothing else."""
    data = bytearray(pack(*contents).data)
    kind = draw.draw(st.sampled_from(("cut", "overwrite", "insert", "delete")))
    at = draw.draw(st.integers(0, len(data) - 1))
    if kind == "cut":
        del data[at:]
    elif kind == "overwrite":
        data[at] ^= draw.draw(st.integers(1, 255))
    elif kind == "insert":
        data[at:at] = draw.draw(st.binary(min_size=1, max_size=5))
    else:
        del data[at : at + draw.draw(st.integers(1, 40))]
    try:
        scanned = scan_pack(bytes(data))
    except PackError:
        return
    rebuilt = b"".join(bytes(data[p.start : p.end]) for p in scanned.parts) + grammar.closing(scanned.boundary)
    assert rebuilt == bytes(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(data: bytes) -> None:
    """Noise is no pack."""
    with pytest.raises(PackError):
        scan_pack(data)


def edited(old: bytes, new: bytes) -> bytes:
    data = pack(b"abc", b"defg").data
    assert old in data
    return data.replace(old, new)


B = BOUNDARY.encode()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "nothing"),
        (b"--" + B + b"--\r\n", "no part: dicomweb-client breaks on it"),
        (b"\r\n" + pack(b"a").data, "a preamble: dicomweb-client breaks on it"),
        (pack(b"a").data + b"\r\n", "an epilogue"),
        (pack(b"a").data[:-2], "no last CRLF"),
        (pack(b"a").data + pack(b"a").data, "two messages"),
        (edited(b"Content-Length: 3", b"Content-Length: 4"), "a wrong length breaks Orthanc"),
        (edited(b"Content-Length: 3", b"Content-Length: 03"), "a leading zero"),
        (edited(b"Content-Length: 3", b"Content-Length: -3"), "a negative length"),
        (edited(b"Content-Length: 3", b"Content-Length: 99999999999999999999"), "a huge length"),
        (edited(b"Content-Type:", b"Content-type:"), "Cornerstone matches the spelling exactly"),
        (edited(b"application/dicom;", b"application/dicom; charset=x;"), "another parameter"),
        (edited(b"\r\n\r\nabc", b"\n\nabc"), "bare line feeds"),
        (edited(b"/dicomweb/hung-yen", b"/dicomweb/Hung-Yen"), "not an archive id"),
        (edited(b"/series/1.2.3.4/", b"/series/1.2.3.a/"), "not a UID"),
        (edited(b"abc\r\n", b"ab\r\n\r\n"), "bytes moved over the border"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_not_the_grammar_is_refused(data: bytes, why: str) -> None:
    """One deviation a row."""
    with pytest.raises(PackError):
        scan_pack(data)


def test_a_boundary_within_an_instance_makes_another_boundary_and_the_pack_not_joinable() -> None:
    """Also when ``--B`` is the first or last thing in an instance."""
    for content in (b"x--" + B + b"y", b"--" + B, b"\r\n--" + B + b"--\r\n"):
        written = pack(b"one", content)
        assert not written.joinable
        assert written.boundary != BOUNDARY
        assert scan_pack(written.data).parts == written.parts
        assert decoded_by_dicomweb_client(written.data, written.content_type) == [b"one", content]
    assert pack(b"--" + B[:-1], B[1:]).joinable, "a part of it is harmless"


def test_a_part_that_holds_the_boundary_is_refused_by_scan() -> None:
    """However right its length: other readers would split it there."""
    content = b"x--" + B + b"y"
    head = grammar.part_head(BOUNDARY, SYNTAX, len(content), grammar.content_location(ARCHIVE, STUDY, SERIES, "1.2"))
    with pytest.raises(PackError):
        scan_pack(head + content + b"\r\n" + grammar.closing(BOUNDARY))
    view = memoryview(head + bytes(1 << 20) + content + b"\r\n" + grammar.closing(BOUNDARY))
    with pytest.raises(PackError):
        scan_pack(view)


def test_a_delimiter_across_windows_of_a_memoryview_is_found() -> None:
    """The search goes over it in windows of a mebibyte."""
    needle = b"--" + B
    for at in range((1 << 20) - len(needle), (1 << 20) + 2, 7):
        data = bytes(at) + needle + bytes(10)
        assert grammar.contains_delimiter(memoryview(data), BOUNDARY)


def test_the_boundary_is_of_the_study_and_needs_the_secret() -> None:
    """Another study, archive or secret: another boundary; 40 characters of the grammar's alphabet."""
    others = {boundary(SECRET, ARCHIVE, "1.2.4"), boundary(SECRET, "other", STUDY), boundary(bytes(32), ARCHIVE, STUDY)}
    assert len(others | {BOUNDARY}) == 4
    assert len(BOUNDARY) == 40
    assert BOUNDARY.isalnum()


def test_a_pack_has_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """None, too many, too large, two series: PackError when writing and when scanning; one large instance is a pack."""
    with pytest.raises(PackError):
        pack()
    with pytest.raises(PackError):
        write_pack([instance(b"a"), instance(b"b", 2, Uid("9"))], archive_id=ARCHIVE, secret=SECRET)
    three = pack(b"a" * 50, b"b" * 50, b"c" * 50).data
    monkeypatch.setattr(grammar, "MAX_INSTANCES", 2)
    with pytest.raises(PackError):
        pack(b"a", b"b", b"c")
    with pytest.raises(PackError):
        scan_pack(three)
    assert len(scan_pack(three, limits=False).parts) == 3
    monkeypatch.setattr(grammar, "MAX_INSTANCES", 1000)
    monkeypatch.setattr(grammar, "MAX_BYTES", 300)
    with pytest.raises(PackError):
        pack(b"a" * 200, b"b" * 200)
    with pytest.raises(PackError):
        scan_pack(three)
    assert len(scan_pack(pack(b"a" * 400).data).parts) == 1


def test_an_instance_with_a_strange_syntax_is_not_written() -> None:
    """Header injection by way of a transfer syntax or a UID."""
    for strange in (
        Instance(b"", "1.2\r\nX: y", STUDY, SERIES, Uid("1")),
        Instance(b"", SYNTAX, STUDY, SERIES, Uid("1\r\n")),
    ):
        with pytest.raises(PackError):
            write_pack([strange], archive_id=ARCHIVE, secret=SECRET)


@given(CONTENTS)
def test_a_plan_is_the_pack_without_its_copies(contents: list[bytes]) -> None:
    """Chunks, pieces, size and name of a planned pack are those of the written one."""
    instances = [instance(c, n) for n, c in enumerate(contents, 1)]
    written = write_pack(instances, archive_id=ARCHIVE, secret=SECRET)
    planned = plan_pack(instances, archive_id=ARCHIVE, secret=SECRET)
    assert b"".join(planned.chunks) == written.data
    assert b"".join(grammar.iter_write(planned, chunk_size=7)) == written.data
    assert planned.size == len(written.data)
    assert planned.digest_id() == pack_id(written.data) == hashlib.sha256(written.data).hexdigest()[:32]


def copied(spans: Sequence[Span | bytes], objects: dict[str, bytes]) -> bytes:
    return b"".join(s if isinstance(s, bytes) else objects[s.key][s.offset : s.offset + s.length] for s in spans)


@given(st.lists(CONTENTS, min_size=1, max_size=4))
def test_joined_packs_are_one_valid_message(packs: list[list[bytes]]) -> None:
    """All parts of all packs, in order, byte for byte, for us and for dicomweb-client."""
    written = [pack(*contents) for contents in packs]
    objects = {str(i): w.data for i, w in enumerate(written)}
    message = copied(plan([PackExtent(k, len(v), BOUNDARY) for k, v in objects.items()]), objects)
    everything = [content for contents in packs for content in contents]
    scanned = scan_pack(message, limits=False)
    assert [message[p.offset : p.offset + p.length] for p in scanned.parts] == everything
    assert decoded_by_dicomweb_client(message, written[0].content_type) == everything


@given(CONTENTS, st.data())
def test_live_parts_are_one_valid_message(contents: list[bytes], draw: st.DataObject) -> None:
    """Some parts of two packs, in some order, with neighbours copied in one go."""
    written = {"a": pack(*contents), "b": pack(*reversed(contents))}
    objects = {key: w.data for key, w in written.items()}
    everything = [(key, part) for key, w in written.items() for part in w.parts]
    chosen = draw.draw(st.lists(st.sampled_from(everything), min_size=1, max_size=8))
    spans = [Span(key, part.start, part.end - part.start) for key, part in chosen]
    joined = plan_ranges(spans, BOUNDARY)
    message = copied(joined, objects)
    found = [message[p.offset : p.offset + p.length] for p in scan_pack(message, limits=False).parts]
    assert found == [objects[key][p.offset : p.offset + p.length] for key, p in chosen]


def test_all_parts_of_a_pack_in_order_are_one_span() -> None:
    """What a server-side copy should do in one request."""
    written = pack(b"a", b"bb", b"ccc")
    spans = [Span("k", part.start, part.end - part.start) for part in written.parts]
    assert plan_ranges(spans, BOUNDARY) == [
        Span("k", 0, len(written.data) - len(BOUNDARY) - 6),
        grammar.closing(BOUNDARY),
    ]


def test_packs_of_different_boundaries_are_not_joined() -> None:
    """Nor nothing, nor an object shorter than a closing line."""
    for extents in ([], [PackExtent("a", 500, "b1"), PackExtent("b", 500, "b2")], [PackExtent("a", 5, "b1")]):
        with pytest.raises(PackError):
            plan(extents)
    with pytest.raises(PackError):
        plan_ranges([], "b1")
