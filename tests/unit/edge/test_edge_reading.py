"""What query and retrieve are made of: identifiers, multipart messages, the rewriting to implicit VR, the cache."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian
from tests.conftest import sample_files
from tests.support.stub_edge import dataset_bytes, write_ct

from edge_forwarder.cloud.dicomweb import Found
from edge_forwarder.cloud.multipart import Parts
from edge_forwarder.commitment import information
from edge_forwarder.dicom import rewrite, values
from edge_forwarder.errors import CloudAwayError, QueryError, UnreadableError
from edge_forwarder.logs import Log
from edge_forwarder.query_retrieve import query
from edge_forwarder.query_retrieve.cache import EXPLICIT, STORED, Cache, Instance
from edge_forwarder.query_retrieve.fetch import Fetcher, Target

FIND_P, FIND_S = "1.2.840.10008.5.1.4.1.2.1.1", "1.2.840.10008.5.1.4.1.2.2.1"
EXPLICIT_LE, IMPLICIT_LE = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"


def identifier(**keys: object) -> Dataset:
    """As it comes over the wire."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    for keyword, held in keys.items():
        setattr(ds, keyword, held)
    return values.decode(values.encode(ds, IMPLICIT_LE), IMPLICIT_LE)


def test_keys_become_parameters_and_what_is_empty_is_only_asked_for() -> None:
    """Ranges, wildcards, lists of UIDs and accents go as they are; universal matches and our own keys do not."""
    asked = query.question(
        identifier(
            QueryRetrieveLevel="STUDY",
            PatientName="NGUYỄN*",
            PatientID="*",
            StudyDate="20240101-20241231",
            StudyInstanceUID=["1.2", "1.3"],
            AccessionNumber="",
            RetrieveAETitle="X",
        ),
        FIND_S,
    )
    assert asked.paths == ("/studies",)
    parameters = dict(asked.parameters)
    assert parameters.pop("includefield").split(",") == ["00080020", "00080050", "00100010", "00100020", "0020000D"]
    assert parameters == {"00080020": "20240101-20241231", "00100010": "NGUYỄN*", "0020000D": "1.2,1.3"}


def test_a_query_that_names_no_character_set_is_read_as_utf_8() -> None:
    """Old workstations type Vietnamese and say nothing."""
    raw = b"\x08\x00\x52\x00\x06\0\0\0STUDY " + b"\x10\x00\x10\x00\x0a\0\0\0" + "NGUYỄN* ".encode()
    asked = query.question(values.decode(raw, IMPLICIT_LE), FIND_S)
    assert ("00100010", "NGUYỄN*") in asked.parameters


def test_lower_levels_ask_below_their_study() -> None:
    """Unique keys above the level make the path (PS3.4 C.4.1.2.1); several studies are several questions."""
    series = query.question(identifier(QueryRetrieveLevel="SERIES", StudyInstanceUID=["1.2", "1.3"]), FIND_S)
    assert series.paths == ("/studies/1.2/series", "/studies/1.3/series")
    image = query.question(
        identifier(QueryRetrieveLevel="IMAGE", StudyInstanceUID="1.2", SeriesInstanceUID="1.4", SOPInstanceUID="1.5"),
        FIND_P,
    )
    assert image.paths == ("/studies/1.2/series/1.4/instances",)
    assert dict(image.parameters)["00080018"] == "1.5"


def test_a_sequence_key_is_asked_by_its_path() -> None:
    """PS3.18 8.3.4.1: AttributeSequence.Attribute."""
    item = Dataset()
    item.RequestedProcedureID = "P1"
    asked = query.question(identifier(QueryRetrieveLevel="STUDY", RequestAttributesSequence=[item]), FIND_S)
    assert ("00400275.00401001", "P1") in asked.parameters


@pytest.mark.parametrize(
    ("keys", "model"),
    [
        ({}, FIND_S),
        ({"QueryRetrieveLevel": "NONSENSE"}, FIND_S),
        ({"QueryRetrieveLevel": "PATIENT", "PatientID": ""}, FIND_S),
        ({"QueryRetrieveLevel": "SERIES"}, FIND_P),
        ({"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "../1"}, FIND_S),
    ],
)
def test_what_is_no_identifier_of_its_model_is_refused(keys: dict[str, object], model: str) -> None:
    """PS3.4 C.4.1.2.1; nothing that is no UID gets into a path."""
    with pytest.raises(QueryError):
        query.question(identifier(**keys), model)


@given(
    elements=st.lists(
        st.tuples(
            st.sampled_from(
                [(8, 0x52), (8, 0x20), (8, 0x1199), (8, 0x1195), (0x20, 0xD), (0x20, 0xE), (0x10, 0x10), (9, 1)]
            ),
            st.sampled_from([b"CS", b"UI", b"PN", b"DA", b"UN", b"OB", b"SQ", b"IS", b"US"]),
            st.sampled_from(
                [b"", b"STUDY ", b"SERIES", b"1.2\\1.3 ", b"\xff\xfe\xe0\x01", b"*", b"\xfe\xff\0\xe0\0\0\0\0"]
            ),
        ),
        max_size=6,
    ),
    syntax=st.sampled_from([EXPLICIT_LE, IMPLICIT_LE]),
)
def test_whatever_an_identifier_holds_it_is_understood_or_refused(
    elements: list[tuple[tuple[int, int], bytes, bytes]], syntax: str
) -> None:
    """Wrong VRs, wrong lengths, bytes for text: a QueryError or an UnreadableError, and nothing else."""
    data = b""
    for (group, number), vr, value in sorted(elements):
        long = vr in (b"UN", b"OB", b"SQ")
        head = struct.pack("<2sHI", vr, 0, len(value)) if long else struct.pack("<2sH", vr, len(value))
        data += (
            struct.pack("<HH", group, number)
            + (head if syntax == EXPLICIT_LE else struct.pack("<I", len(value)))
            + value
        )
    for use in (
        lambda: query.question(values.decode(data, syntax), FIND_P),
        lambda: information.read(data, syntax),
    ):
        try:
            use()
        except (QueryError, UnreadableError):
            pass


def test_an_answer_has_every_key_that_was_asked_for_and_no_other() -> None:
    """Names in UTF-8, empty where there is no value, the unique key always."""
    asked = query.question(identifier(QueryRetrieveLevel="STUDY", PatientName="", StudyDescription=""), FIND_S)
    item = {
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Trần^Thị Mẫu"}]},
        "0020000D": {"vr": "UI", "Value": ["1.2"]},
        "00080020": {"vr": "DA", "Value": ["20240101"]},
    }
    found = values.decode(values.encode(query.answer(item, asked, "EDGE"), EXPLICIT_LE), EXPLICIT_LE)
    assert str(found.PatientName) == "Trần^Thị Mẫu"
    assert found["StudyDescription"].is_empty
    assert (found.StudyInstanceUID, found.QueryRetrieveLevel, found.RetrieveAETitle) == ("1.2", "STUDY", "EDGE")
    assert "StudyDate" not in found


def study(patient: str, name: str, instances: int) -> query.Item:
    return {
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": name}]},
        "00100020": {"vr": "LO", "Value": [patient]} if patient else {"vr": "LO"},
        "00201206": {"vr": "IS", "Value": [1]},
        "00201208": {"vr": "IS", "Value": [instances]},
    }


def test_patients_are_aggregated_and_those_without_an_id_are_not_thrown_together() -> None:
    """Two without an id and different names are two."""
    found = query.patients([study("1", "A", 3), study("", "B", 1), study("1", "A", 4), study("", "C", 1)])
    assert [p["00201200"]["Value"] for p in found] == [[2], [1], [1]]
    assert found[0]["00201204"]["Value"] == [7]


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


def rewritten(data: bytes) -> bytes:
    return b"".join(rewrite.implicit(BytesIO(data)))


def test_every_explicit_sample_says_the_same_in_implicit() -> None:
    """Compared by pydicom, which wrote neither; private values by their bytes."""
    compared = 0
    for path in sample_files():
        data = path.read_bytes()
        try:
            ds = pydicom.dcmread(BytesIO(data))
            if ds.file_meta.TransferSyntaxUID != ExplicitVRLittleEndian:
                continue
            start = 144 + int.from_bytes(data[140:144], "little")
            theirs = values.decode(data[start:], EXPLICIT_LE)
        except Exception:
            continue
        try:
            ours = values.decode(rewritten(data[start:]), IMPLICIT_LE)
        except UnreadableError:
            continue
        compared += 1
        for element in theirs:
            if element.tag.element == 0:
                continue
            other = ours[element.tag]
            if other.VR == element.VR and element.VR != "SQ":
                assert other.value == element.value, (path.name, element.tag)
            elif other.VR == "SQ":
                assert len(other.value) == len(element.value or ()), (path.name, element.tag)
    assert compared > 20


def test_nested_sequences_of_both_kinds_of_length_are_rewritten() -> None:
    """Defined lengths inside undefined ones and the other way; empty sequences; UN that holds a sequence."""
    inner = Dataset()
    inner.CodeValue, inner.CodeMeaning, inner.LongCodeValue = "1", "Thử", "2" * 20
    middle = Dataset()
    middle.ConceptNameCodeSequence = [inner, inner]
    middle.ContentSequence = []
    outer = Dataset()
    outer.SpecificCharacterSet = "ISO_IR 192"
    outer.ContentSequence = [middle, Dataset()]
    outer.PatientID = "THU-0001"
    for undefined_outer, undefined_inner in ((0, 0), (0, 1), (1, 0), (1, 1)):
        for sequence, undefined in (
            (outer.ContentSequence, undefined_outer),
            (middle.ConceptNameCodeSequence, undefined_inner),
        ):
            _lengths(sequence, undefined=bool(undefined))
        data = values.encode(outer, EXPLICIT_LE)
        assert values.decode(rewritten(data), IMPLICIT_LE) == outer
    unknown = b"\x09\x00\x01\x10UN\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    unknown += b"\x08\x00\x00\x01\x02\0\0\x001 " + b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"
    assert rewritten(unknown) == unknown[:4] + unknown[8:]


def _lengths(sequence: Sequence, *, undefined: bool) -> None:
    sequence.is_undefined_length = undefined
    for item in sequence:
        item.is_undefined_length_sequence_item = undefined


@given(st.binary(max_size=200))
def test_noise_is_refused_and_never_more_than_that(data: bytes) -> None:
    """Nothing but UnreadableError, and it ends."""
    try:
        rewritten(data)
    except UnreadableError:
        pass


def instance(number: int, study: str = "1.2") -> Instance:
    return Instance(study, "1.3", f"1.4.{number}", "1.2.840.10008.5.1.4.1.1.2")


def keep(cache: Cache, wanted: Instance, size: int, age: float = 0.0) -> Path:
    path = cache.draft(wanted, [b"x" * size]).replace(cache.path(wanted))
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_the_cache_keeps_to_its_size_and_age_and_drops_the_longest_unused_first(tmp_path: Path) -> None:
    """What was asked for last stays."""
    cache = Cache(tmp_path / "cache", max_bytes=350, max_age=1000)
    cache.open()
    paths = [keep(cache, instance(n), 100, age=100 - n) for n in range(3)]
    old = keep(cache, instance(9, "1.9"), 10, age=2000)
    assert cache.get(instance(0)) == paths[0]
    cache.trim()
    assert (not old.exists(), not old.parent.parent.exists()) == (True, True)
    assert all(path.exists() for path in paths)
    keep(cache, instance(3), 100)
    cache.trim()
    assert [cache.get(instance(n)) is not None for n in range(4)] == [True, False, True, True]
    assert (tmp_path / "cache").stat().st_mode & 0o077 == 0


def test_the_cache_gives_way_to_the_spool(tmp_path: Path) -> None:
    """Too little free: the longest unused go, and nothing is fetched while that is not enough."""
    free = [10**9]
    cache = Cache(tmp_path, max_bytes=10**6, max_age=1000, min_free_bytes=500, free=lambda _: free[0])
    cache.open()
    paths = [keep(cache, instance(n), 100, age=300 - n) for n in range(3)]
    free[0] = 350
    cache.trim()
    assert [path.exists() for path in paths] == [False, False, True]
    with pytest.raises(OSError, match="No space"):
        cache.draft(instance(4), [b"x"])


def test_what_may_be_on_its_way_to_somebody_stays_for_a_moment(tmp_path: Path) -> None:
    """Even in a cache that keeps nothing."""
    cache = Cache(tmp_path, max_bytes=0, max_age=1000)
    fresh, old = keep(cache, instance(1), 100), keep(cache, instance(2), 100, age=100)
    cache.trim()
    assert (fresh.exists(), old.exists()) == (True, False)


def test_a_file_of_the_spool_is_adopted_by_a_second_name(tmp_path: Path) -> None:
    """It stays when the spool lets go."""
    cache = Cache(tmp_path / "cache", max_bytes=1000, max_age=1000)
    cache.open()
    spooled = tmp_path / "spooled.dcm"
    spooled.write_bytes(b"image")
    assert cache.adopt(instance(1), spooled)
    spooled.unlink()
    assert (cache.get(instance(1)) or spooled).read_bytes() == b"image"
    assert not cache.adopt(instance(2), tmp_path / "none")


def test_a_study_is_remembered_only_while_all_of_it_is_there(tmp_path: Path) -> None:
    """Half a study would look like a whole one."""
    cache = Cache(tmp_path, max_bytes=10**6, max_age=1000)
    both = [instance(1), instance(2)]
    cache.remember("1.2", both)
    keep(cache, both[0], 10)
    assert cache.remembered("1.2") is None
    keep(cache, both[1], 10)
    assert cache.remembered("1.2") == both
    assert cache.remembered("1.99") is None
    assert cache.remembered("../1") is None


def test_a_broken_fetch_leaves_nothing_and_a_restart_cleans_up(tmp_path: Path) -> None:
    """No half file is ever given to anybody."""
    cache = Cache(tmp_path, max_bytes=10**6, max_age=1000)

    def pieces() -> object:
        yield b"half"
        raise CloudAwayError("gone")

    with pytest.raises(CloudAwayError):
        cache.draft(instance(1), pieces())  # type: ignore[arg-type]
    assert cache.get(instance(1)) is cache.get(instance(1), EXPLICIT) is None
    cache.draft(instance(1), [b"left"])
    cache.open()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("uid", ["", "..", "1/2", "a"])
def test_no_uid_leaves_the_cache(uid: str) -> None:
    """They are steps of a path."""
    with pytest.raises(ValueError, match="UID"):
        Instance("1.2", "1.3", uid, "")


class Cloud:
    """Both sides that a retrieve asks: what is current, by SOP Instance UID, and the files themselves."""

    def __init__(self, **current: bytes) -> None:
        self.current = {sop.replace("_", "."): data for sop, data in current.items()}
        self.error: Exception | None = None
        self.fetched: list[str] = []
        self.questions = 0
        self.meanwhile: Callable[[], object] = lambda: None

    def known(self, study: str, series: str, asked: list[tuple[str, str, str]]) -> frozenset[str]:
        self.questions += 1
        self.meanwhile()
        if self.error:
            raise self.error
        return frozenset(
            sop
            for sop, syntax, sha256 in asked
            if (syntax, sha256) == (EXPLICIT_LE, hashlib.sha256(dataset_bytes(self.current[sop])).hexdigest())
        )

    def search(self, path: str, query: object, *, limit: int) -> Found:
        self.questions += 1
        if self.error:
            raise self.error
        return Found([])

    @contextmanager
    def retrieve(self, path: str, *, as_stored: bool) -> Iterator[list[list[bytes]]]:
        if self.error:
            raise self.error
        sop = path.rpartition("/")[2]
        self.fetched.append(sop)
        yield [[self.current[sop]]]


def test_a_file_of_the_cache_is_given_only_if_the_archive_would_give_the_same(tmp_path: Path) -> None:
    """A person chose another version, or the corrected image came after a deletion: what is here is of yesterday, and
    so is what was made of it. While the cloud is away it is all there is.
    """
    images = [write_ct(tmp_path / f"{n}.dcm", sop="1.4.1", fill=n).read_bytes() for n in (1, 2)]
    cache = Cache(tmp_path / "cache", max_bytes=10**6, max_age=1000)
    cache.open()
    cloud = Cloud(**{"1_4_1": images[0]})
    fetcher = Fetcher(cloud, cloud, cache, 10, Log(io.StringIO()))  # type: ignore[arg-type]
    wanted = instance(1)

    def given() -> bytes:
        ((_, path),) = fetcher.files([wanted])
        return path.read_bytes() if path else b""

    assert [given(), given()] == [images[0]] * 2
    cache.draft(wanted, [images[0]]).replace(cache.path(wanted, EXPLICIT))
    assert given() == images[0]
    assert cache.get(wanted, EXPLICIT)
    cloud.current["1.4.1"] = images[1]
    cloud.error = CloudAwayError("away")
    assert given() == images[0]
    cloud.error = None
    assert given() == images[1]
    assert cache.get(wanted, EXPLICIT) is None
    assert cloud.fetched == ["1.4.1", "1.4.1"]
    cache.path(wanted).write_bytes(b"")
    assert given() == images[1]


def test_a_cloud_that_is_away_is_asked_once_for_a_retrieve_from_the_cache(tmp_path: Path) -> None:
    """Each question may take as long as a connection that nobody answers, and somebody waits for the images."""
    data = write_ct(tmp_path / "1.dcm", sop="1.4.1").read_bytes()
    cache = Cache(tmp_path / "cache", max_bytes=10**6, max_age=1000)
    cache.open()
    wanted = [Instance(f"1.2.{study}", f"1.3.{series}", "1.4.1", "") for study in range(2) for series in range(5)]
    for each in wanted:
        cache.draft(each, [data]).replace(cache.path(each))
        cache.remember(each.study, [i for i in wanted if i.study == each.study])
    cloud = Cloud()
    cloud.error = CloudAwayError("away")
    fetcher = Fetcher(cloud, cloud, cache, 10, Log(io.StringIO()))  # type: ignore[arg-type]
    assert fetcher.instances([Target("1.2.0"), Target("1.2.1")]) == (wanted, True)
    assert cloud.questions == 1
    assert [path is not None for _, path in fetcher.files(wanted, is_away=True)] == [True] * 10
    assert cloud.questions == 1
    assert [path is not None for _, path in fetcher.files(wanted)] == [True] * 10
    assert cloud.questions == 2


def test_what_another_retrieve_has_just_fetched_is_not_thrown_away(tmp_path: Path) -> None:
    """It was missing, damaged or of yesterday when this one looked, and the other one is about to send it."""
    old, new = (write_ct(tmp_path / f"{n}.dcm", sop="1.4.1", fill=n).read_bytes() for n in (1, 2))
    current = write_ct(tmp_path / "3.dcm", sop="1.4.2").read_bytes()
    for before in (None, b"damaged", old):
        cache = Cache(tmp_path / "cache", max_bytes=10**6, max_age=1000)
        cache.open()
        wanted = [instance(1), instance(2)]
        cache.path(wanted[0]).unlink(missing_ok=True)
        for each, there in zip(wanted, (before, current), strict=True):
            if there is not None:
                cache.draft(each, [there]).replace(cache.path(each))
        cloud = Cloud(**{"1_4_1": new, "1_4_2": current})

        def fetch(cache: Cache = cache) -> None:
            for kind in (STORED, EXPLICIT):
                cache.draft(instance(1), [new]).replace(cache.path(instance(1), kind))

        cloud.meanwhile = fetch
        fetcher = Fetcher(cloud, cloud, cache, 10, Log(io.StringIO()))  # type: ignore[arg-type]
        given = {each.sop: path for each, path in fetcher.files(wanted)}
        assert cloud.fetched == []
        assert [path and path.read_bytes() for path in given.values()] == [current, new]
        assert cache.get(instance(1), EXPLICIT)
