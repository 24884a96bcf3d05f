"""Every parser of what strangers send, fed with the kept corpus and what is near it: an answer, or its own error."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from urllib.parse import parse_qs

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.fuzz.fuzzing import CORPUS, FUZZ, changed, corpus

from maypacs import incoming
from maypacs.dicom.native_model import from_xml
from maypacs.errors import BadRequestError, NotAcceptableError, PackError, PixelError
from maypacs.http import media_types
from maypacs.http.multipart import read_multipart
from maypacs.incoming import Incoming
from maypacs.pack.grammar import scan_pack
from maypacs.pixels.decode import decode_frame
from maypacs.pixels.image import ImagePixel
from maypacs.query import parse_query
from maypacs.receipts import Outcome
from maypacs.store import read_instances
from maypacs.store_metadata import build_instances


def multipart(body: bytes) -> None:
    """The parts lie in the body, one after the other."""
    at = 0
    for part in read_multipart(body, "B"):
        content = bytes(part.content)
        assert body.find(content, at) >= at
        at = body.find(content, at) + len(content)
        assert all("\n" not in name + value for name, value in part.headers.items())


def accept(header: bytes) -> None:
    """Best first; every choice of a representation is one of ours."""
    found = media_types.parse_accept(header.decode("latin-1"))
    assert all(one.quality >= other.quality for one, other in pairwise(found))
    for choose in (
        lambda: media_types.dicom_choices(found, single_allowed=True),
        lambda: media_types.frame_choices(found, single_allowed=True),
        lambda: media_types.metadata_choice(found),
    ):
        try:
            choose()
        except NotAcceptableError:
            continue


def query(text: bytes) -> None:
    """At every level; bounds hold, whatever was asked for."""
    params = parse_qs(text.decode("latin-1"), keep_blank_values=True, max_num_fields=1000, errors="surrogateescape")
    for level in ("study", "series", "instance"):
        try:
            parsed = parse_query(params, level)
        except BadRequestError:
            continue
        assert 1 <= parsed.limit <= 1000
        assert 0 <= parsed.offset <= 10_000
        assert all("\n" not in warning for warning in parsed.warnings)


def pack(data: bytes) -> None:
    """What is taken is of the grammar, to the byte: parts without a gap, paths of UIDs."""
    scanned = scan_pack(data)
    assert [part.start for part in scanned.parts[1:]] == [part.end for part in scanned.parts[:-1]]
    assert scanned.parts[-1].end + len(f"--{scanned.boundary}--\r\n") == len(data)
    for part in scanned.parts:
        assert all(set(uid) <= set("0123456789.") and uid.strip(".") for uid in part.uids)


def part10(data: bytes) -> None:
    """Taken, or refused with a reason; UIDs that are taken are safe in a path."""
    read = incoming.read(data)
    assert isinstance(read, (Incoming, Outcome))
    if isinstance(read, Incoming):
        named = (read.study, read.series, read.instance, read.transfer_syntax)
        assert all(set(uid) <= set("0123456789.") for uid in named)


def stow(kind: str) -> Callable[[bytes], None]:
    def read(document: bytes) -> None:
        body = b"--B\r\nContent-Type: application/dicom+%s\r\n\r\n%s" % (kind.encode(), document)
        body += b"\r\n--B\r\nContent-Type: application/octet-stream\r\nContent-Location: bulk/1\r\n\r\n12345678"
        body += b"\r\n--B--\r\n"
        for built in build_instances(list(read_multipart(body, "B"))):
            part10(built.data)

    return read


def xml(document: bytes) -> None:
    from_xml(document)
    stow("xml")(document)


def stream(data: bytes) -> None:
    """A frame of 64 x 64: by whichever of its syntaxes it looks like; what is decoded has the shape of the image."""
    image = ImagePixel(64, 64, 1, 8, 8, 7, False, False, "MONOCHROME2", 1)
    syntax = "50" if data[:2] == b"\xff\xd8" else "90"
    array, _ = decode_frame(data, image, f"1.2.840.10008.1.2.4.{syntax}")
    assert array.shape == (64, 64)


PARSERS: dict[str, tuple[Callable[[bytes], None], tuple[type[Exception], ...]]] = {
    "multipart": (multipart, (BadRequestError,)),
    "accept": (accept, (BadRequestError,)),
    "query": (query, (BadRequestError,)),
    "pack": (pack, (PackError,)),
    "part10": (part10, ()),
    "model": (stow("json"), (BadRequestError,)),
    "xml": (xml, (BadRequestError,)),
    "stream": (stream, (PixelError,)),
}


def feed(kind: str, data: bytes) -> None:
    parse, errors = PARSERS[kind]
    try:
        parse(data)
    except errors:
        return


def test_every_parser_has_a_corpus_and_every_corpus_a_parser() -> None:
    """A folder that lost its name would test nothing."""
    assert {path.name for path in CORPUS.iterdir()} == set(PARSERS)
    assert all(len(corpus(kind)) >= 5 for kind in PARSERS)


@pytest.mark.parametrize(("kind", "number"), [(kind, n) for kind in PARSERS for n in range(len(corpus(kind)))])
def test_the_kept_corpus_breaks_nothing_and_fills_no_memory(kind: str, number: int) -> None:
    """Under 64 MiB for inputs of kilobytes, bombs among them."""
    data = corpus(kind)[number]
    tracemalloc.start()
    try:
        feed(kind, data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64 << 20


@pytest.mark.parametrize("kind", PARSERS)
def test_what_is_near_the_corpus_breaks_nothing(kind: str) -> None:
    """Bytes and tokens changed, put in, cut out, repeated."""

    @FUZZ
    @given(changed(kind))
    def feed_it(data: bytes) -> None:
        feed(kind, data)

    feed_it()


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["vr", "Value", "BulkDataURI", "InlineBinary", "00080018", "00081115", "7FE00010", "Alphabetic"]
            )
            | st.text(max_size=9),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)


@FUZZ
@given(
    st.lists(
        st.dictionaries(st.sampled_from(["00080016", "00080018", "0020000D", "7FE00010", "00100010"]), _JSON),
        max_size=2,
    )
)
def test_json_of_any_shape_is_an_instance_or_none(models: list[object]) -> None:
    """Elements of every wrong type, at every place."""
    import orjson

    try:
        feed("model", orjson.dumps(models))
    except orjson.JSONEncodeError:
        return


@FUZZ
@given(st.text(alphabet="abB-=; \"'/\r\n\\é", max_size=40), st.binary(max_size=60))
@example('x"; boundary=', b"--x\r\n\r\n--\r\n")
@example("B" * 201, b"")
def test_a_boundary_of_the_senders_fancy_is_a_boundary_or_a_bad_request(boundary: str, body: bytes) -> None:
    """Injection through the parameter: the parts are what lies between the delimiters, or nothing is read."""
    content_type = f'multipart/related; type="application/dicom"; boundary="{boundary}"'
    try:
        sent = read_instances(content_type, b"--" + boundary.encode() + b"\r\n\r\n" + body + b"\r\n--B--")
    except BadRequestError:
        return
    assert all(each.data in body or each.data in b"--B--" for each in sent)


def test_one_bulk_part_that_is_named_a_thousand_times_is_used_once() -> None:
    """An amplifier: 4 MB sent must not become gigabytes."""
    import orjson

    big = b"\0" * 1_000_000
    item = {"00420011": {"vr": "OB", "BulkDataURI": "bulk/1"}}
    models = [{"00080018": {"vr": "UI", "Value": ["1.2"]}, "00081115": {"vr": "SQ", "Value": [item] * 50}}] * 50
    body = b"--B\r\nContent-Type: application/dicom+json\r\n\r\n" + orjson.dumps(models)
    body += b"\r\n--B\r\nContent-Location: bulk/1\r\n\r\n" + big + b"\r\n--B--"
    tracemalloc.start()
    built = build_instances(list(read_multipart(body, "B")))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert [each.data for each in built] == [b""] * 50
    assert peak < 16 << 20
