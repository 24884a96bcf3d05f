"""What can lie in the inbox: packs, single files, zip, tar, HL7, nothing, and things that mean harm."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest
from tests.conftest import sample_files
from tests.support.instances import slice_of
from tests.support.workspaces import PACK_KEY, QUICK, Bench, every_byte_is_there

from maypacs import arrivals, bundles, incoming, ingest, receipts
from maypacs.incoming import Incoming
from maypacs.index import contents
from maypacs.ingest import ingest_object, store_instances
from maypacs.pack import grammar
from maypacs.receipts import Receipt
from maypacs.uids import Uid

STUDY, SERIES = Uid("1.2.3"), Uid("1.2.3.1")


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def take(bench: Bench, body: bytes, key: str = "") -> Receipt:
    """The receipt of one object; whatever it was, the inbox is empty afterwards."""
    key = key or f"hosp1/uploads/{arrivals.new_arrival()}"
    bench.inbox.put(key, body)
    receipt = ingest_object(bench.workspace(), key, effects=QUICK)
    assert receipt is not None
    assert list(bench.inbox.list("")) == []
    return receipt


def pack_of(files: list[bytes], *, secret: bytes = PACK_KEY) -> bytes:
    read = [each for each in map(incoming.read, files) if isinstance(each, Incoming)]
    parts = [grammar.Instance(each.data, each.transfer_syntax, each.study, each.series, each.instance) for each in read]
    return grammar.write_pack(parts, archive_id=Bench.archive_id, secret=secret).data


def zipped(files: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as bundle:
        for name, data in files.items():
            bundle.writestr(name, data)
    return out.getvalue()


def tarred(files: dict[str, bytes], mode: str = "w") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as bundle:  # type: ignore[call-overload]
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            bundle.addfile(info, io.BytesIO(data))
    return out.getvalue()


def current(bench: Bench, series: Uid = SERIES) -> list[bytes]:
    return list(every_byte_is_there(bench.workspace(), STUDY, series).values())


def test_a_pack_of_an_edge_is_copied_by_storage(bench: Bench) -> None:
    """Same boundary, one series, in order, all new: its bytes are the archive's pack, under its digest."""
    files = [slice_of(number=number) for number in (1, 2, 3)]
    pack = pack_of(files)
    assert take(bench, pack).counts == {"stored": 3}
    assert bench.objects.calls["copy"] == 1
    (found,) = bench.workspace().store.packs()
    assert found.pack_id == grammar.pack_id(pack)
    head = bench.objects.head(f"blobs/packs/hosp1/{STUDY}/{SERIES}/{found.pack_id}")
    assert (
        head.content_type == f'multipart/related; type="application/dicom"; boundary={grammar.scan_pack(pack).boundary}'
    )
    assert head.metadata["joinable"] == "1"
    assert current(bench) == files
    held = contents.series_contents(bench.workspace(), STUDY, SERIES)
    assert held.clean
    assert [each.position for each in held.instances] == [0, 1, 2]


@pytest.mark.parametrize(
    ("why", "pack"),
    [
        ("another archive's boundary", pack_of([slice_of(number=1), slice_of(number=2)], secret=b"x" * 32)),
        ("another order", pack_of([slice_of(number=2), slice_of(number=1)])),
        (
            "a header that lies",
            pack_of([slice_of(number=1), slice_of(number=2)]).replace(b"/1.2.3.1.2\r", b"/1.2.3.1.9\r"),
        ),
    ],
)
def test_a_pack_that_is_not_as_ours_is_written_anew(bench: Bench, why: str, pack: bytes) -> None:
    """Its instances are stored all the same, byte for byte, in a pack of ours."""
    assert take(bench, pack).counts == {"stored": 2}
    assert bench.objects.calls["copy"] == 0
    assert current(bench) == [slice_of(number=1), slice_of(number=2)]
    assert contents.series_contents(bench.workspace(), STUDY, SERIES).clean


def test_one_bad_instance_in_a_pack_is_quarantined_alone(bench: Bench) -> None:
    """The others are stored; the receipt is partial and names the part."""
    good, bad = slice_of(number=1), slice_of(number=2)
    pack = pack_of([good, bad])
    at = pack.index(bad)
    broken = pack[:at] + bytes(132) + b"\xff" * (len(bad) - 132) + pack[at + len(bad) :]
    receipt = take(bench, broken)
    assert (receipt.state, receipt.counts) == ("partial", {"failed": 1, "stored": 1})
    assert receipt.failures == (("", "not-dicom", "2"),)
    assert [head.key.endswith("-2") for head in bench.objects.list("quarantine/")] == [True, False]
    assert current(bench) == [good]


def test_a_body_that_only_begins_like_a_pack_is_quarantined_whole(bench: Bench) -> None:
    """With the reason where a person finds it."""
    receipt = take(bench, b"--not a pack, whatever it begins with")
    assert (receipt.state, receipt.failures) == ("quarantined", (("", "bad-pack", ""),))
    reason = orjson.loads(bench.objects.get(f"quarantine/hosp1/{receipt.arrival}.reason.json"))
    assert reason["reason"] == "bad-pack"


def test_of_a_pack_that_was_cut_short_the_whole_parts_are_stored(bench: Bench) -> None:
    """The receipt is partial, and the body is kept as it came."""
    body = pack_of([slice_of(number=1), slice_of(number=2)])[:-100]
    receipt = take(bench, body)
    assert (receipt.state, receipt.failures) == ("partial", (("", "bad-pack", ""),))
    assert current(bench) == [slice_of(number=1)]
    assert bench.objects.get(f"quarantine/hosp1/{receipt.arrival}") == body


@pytest.mark.parametrize(
    "bundle",
    [
        zipped,
        lambda files: zipped(files, zipfile.ZIP_STORED),
        tarred,
        lambda files: tarred(files, "w:gz"),
        lambda files: gzip.compress(tarred(files), mtime=0),
    ],
)
def test_a_bundle_is_an_import(bench: Bench, bundle: Callable[[dict[str, bytes]], bytes]) -> None:
    """Several series in any order, folders, and a file that is no image: that one is quarantined, by its number."""
    files = {f"DICOM/{number}": slice_of(number=number) for number in (3, 1, 2)}
    files["DICOM/other"] = slice_of(series="1.2.3.2", number=1)
    files["README.TXT"] = b"Open index.htm with your browser"
    receipt = take(bench, bundle(files), "hosp1/disc of NGUYEN/whatever name")
    assert (receipt.state, receipt.counts) == ("partial", {"failed": 1, "stored": 4})
    assert receipt.failures == (("", "not-dicom", "5"),)
    assert current(bench) == [slice_of(number=number) for number in (1, 2, 3)]
    assert len(list(bench.workspace().store.packs())) == 2


def test_an_encrypted_member_is_named_and_the_rest_is_stored(bench: Bench) -> None:
    """Flag bit 0 of its header."""
    body = bytearray(zipped({"a": slice_of(number=1), "b": slice_of(number=2)}, zipfile.ZIP_STORED))
    second = body.rindex(b"PK\x01\x02")
    body[second + 8] |= 1
    receipt = take(bench, bytes(body))
    assert receipt.failures == (("", "encrypted", "2"),)
    assert current(bench) == [slice_of(number=1)]


@pytest.mark.parametrize("percent", [2, 10, 60])
@pytest.mark.parametrize("bundle", [zipped, tarred, lambda files: tarred(files, "w:gz")])
def test_a_damaged_bundle_is_kept_whole_with_a_reason(
    bench: Bench, bundle: Callable[[dict[str, bytes]], bytes], percent: int
) -> None:
    """What could be read of it is stored; nothing hangs, nothing is dropped."""
    body = bundle({str(number): slice_of(number=number, pixels=bytes(range(256)) * 8) for number in (1, 2)})
    receipt = take(bench, body[: len(body) * percent // 100])
    assert receipt.state in ("partial", "quarantined")
    assert receipt.failures[-1][1] in (receipts.BAD_BUNDLE, receipts.UNREADABLE, receipts.NOT_DICOM, receipts.EMPTY)
    assert list(bench.objects.list("quarantine/"))


def test_a_bomb_is_not_inflated(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bundle that inflates beyond the ratio is refused as a whole, after what it may."""
    monkeypatch.setattr(bundles, "RATIO_FREE", 1024 * 1024)
    receipt = take(bench, zipped({str(number): bytes(2_000_000) for number in range(10)}))
    assert receipt.state == "quarantined"
    assert receipt.failures[-1] == ("", "too-large", "")


def test_a_bundle_of_too_many_files_is_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """By count, before its members are read."""
    monkeypatch.setattr(bundles, "MAX_MEMBERS", 2)
    assert take(bench, tarred({str(n): slice_of(number=n) for n in range(1, 5)})).failures[-1][1] == "too-large"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"MSH|^~\\&|HIS|", "hl7-not-yet"),
        (b"\x0bMSH|^~\\&|HIS|", "hl7-not-yet"),
        (b"", "empty"),
        (b"hello", "not-dicom"),
    ],
)
def test_what_is_no_image_waits_in_quarantine(bench: Bench, body: bytes, reason: str) -> None:
    """HL7 is named as not taken yet."""
    receipt = take(bench, body)
    assert (receipt.state, receipt.failures[0][1]) == ("quarantined", reason)
    assert bench.objects.get(f"quarantine/hosp1/{receipt.arrival}") == body


@pytest.fixture
def small_limit(monkeypatch: pytest.MonkeyPatch) -> int:
    """A pack's limit of 4 KiB, so that a large instance is one of 10."""
    limit = 4096
    monkeypatch.setattr(grammar, "MAX_BYTES", limit)
    monkeypatch.setattr(ingest, "IN_MEMORY", limit)
    return limit


def large(number: int = 1) -> bytes:
    return slice_of(number=number, rows=64, columns=80, pixels=bytes(range(256)) * 40)


@pytest.mark.parametrize("wrap", [lambda files: files["a"], lambda files: pack_of([files["a"]]), zipped, tarred])
def test_an_instance_larger_than_a_pack_is_a_pack_of_its_own(
    bench: Bench, small_limit: int, wrap: Callable[[dict[str, bytes]], bytes]
) -> None:
    """Alone, in a pack, in a bundle: stored byte for byte, put together by storage, and nothing is left over."""
    body = large()
    assert take(bench, wrap({"a": body})).counts == {"stored": 1}
    assert bench.objects.calls["join"] == 1
    assert current(bench) == [body]
    (found,) = bench.workspace().store.packs()
    pack = bench.objects.get(f"blobs/packs/hosp1/{STUDY}/{SERIES}/{found.pack_id}")
    assert grammar.scan_pack(pack).parts[0].length == len(body)
    assert grammar.pack_id(pack) == found.pack_id
    assert list(bench.objects.list("spill/")) == []
    held = contents.series_contents(bench.workspace(), STUDY, SERIES)
    assert held.clean
    small = Bench(bench.folder / "small")
    assert take(bench, wrap({"a": body})).counts == {"duplicate": 1}
    assert held.instances[0].digest == incoming_digest(body)
    assert small.objects.calls["join"] == 0


def incoming_digest(body: bytes) -> bytes:
    read = incoming.read(body)
    assert isinstance(read, Incoming)
    return read.digest


@pytest.mark.parametrize("stream_size", [13, 65_536])
def test_frames_of_a_large_encapsulated_instance_are_found_as_of_a_small_one(
    tmp_path: Path, small_limit: int, stream_size: int
) -> None:
    """From the sparse trace of its fragments, whatever the borders of chunks: the table is that of the whole file."""
    compared = 0
    for number, path in enumerate(sample_files()):
        body = path.read_bytes()
        read = incoming.read(body)
        if not isinstance(read, Incoming) or len(body) <= small_limit:
            continue
        if stream_size < 100 and len(body) > 300_000:
            continue
        bench = Bench(tmp_path / str(number))
        bench.inbox.stream_size = stream_size
        take(bench, body)
        held = contents.series_contents(bench.workspace(), read.study, read.series).instance(read.instance)
        assert (held.frame_table, held.number_of_frames) == (read.frames, read.number_of_frames), path.name
        compared += held.frame_table is not None
    assert compared > 5


def image(step: int) -> bytes:
    """12 bits of 16, so that codecs take it."""
    return slice_of(
        samples=1,
        photometric="MONOCHROME2",
        rows=16,
        columns=16,
        bits_stored=12,
        high_bit=11,
        pixel_representation=0,
        pixels=b"".join((n * step % 4096).to_bytes(2, "little") for n in range(256)),
    )


def test_the_same_image_in_another_lossless_encoding_is_a_duplicate(bench: Bench) -> None:
    """Equal attributes, equal pixels: stored once, and no conflict is raised."""
    from tests.support.encodings import jpeg_ls

    plain, other = image(13), image(17)
    packed = jpeg_ls(plain)
    assert packed != plain
    assert take(bench, plain).counts == {"stored": 1}
    assert take(bench, packed).counts == {"duplicate": 1}
    assert take(bench, jpeg_ls(other)).counts == {"conflict": 1}
    assert current(bench) == [plain]


def test_a_conflict_is_kept_and_told_and_lies_in_a_pack_of_its_own(bench: Bench) -> None:
    """The packs of the others stay clean; the decision is an object."""
    assert take(bench, pack_of([slice_of(number=1), slice_of(number=2)])).counts == {"stored": 2}
    other = slice_of(number=2, pixels=b"\xee" * 32)
    receipt = take(bench, pack_of([other, slice_of(number=3)]))
    assert receipt.counts == {"conflict": 1, "stored": 1}
    assert receipt.conflicts == ("1.2.3.1.2",)
    held = contents.series_contents(bench.workspace(), STUDY, SERIES)
    assert held.clean
    assert held.summary.number_of_conflicts == 1
    assert [each.sop_instance_uid for each in held.conflicts] == ["1.2.3.1.2"]
    (decision,) = bench.workspace().store.decisions()
    assert decision["instance"] == "1.2.3.1.2"


def test_two_versions_in_one_upload_are_a_conflict(bench: Bench) -> None:
    """The first in it is current; both are kept."""
    first, second = slice_of(number=1), slice_of(number=1, pixels=b"\xee" * 32)
    outcomes = store_instances(bench.workspace(), arrivals.new_arrival(), [first, second, first], effects=QUICK)
    assert [outcome.result for outcome in outcomes] == ["stored", "conflict", "duplicate"]
    assert current(bench) == [first]
    assert len(contents.series_contents(bench.workspace(), STUDY, SERIES).conflicts) == 1


def test_stow_is_told_what_became_of_each_instance_in_its_order(bench: Bench) -> None:
    """Stored, unreadable, of another study; nothing is quarantined: the sender has it."""
    sent = [slice_of(number=2), b"junk", slice_of(study="1.2.9", series="1.2.9.1"), slice_of(number=1)]
    outcomes = store_instances(bench.workspace(), arrivals.new_arrival(), sent, expect_study=STUDY, effects=QUICK)
    assert [(outcome.result, outcome.reason, outcome.part) for outcome in outcomes] == [
        ("stored", "", "1"),
        ("failed", "not-dicom", "2"),
        ("failed", "study-mismatch", "3"),
        ("stored", "", "4"),
    ]
    assert outcomes[3].sop_instance_uid == "1.2.3.1.1"
    assert list(bench.objects.list("quarantine/")) == []


def test_a_file_copied_in_has_the_same_arrival_each_time_it_is_looked_at(bench: Bench) -> None:
    """From LastModified, key and content; a granted upload has its own."""
    bench.inbox.put("hosp1/folder/a.dcm", b"x")
    head = bench.inbox.head("hosp1/folder/a.dcm")
    assert arrivals.is_arrival(arrivals.arrival_of(head))
    assert arrivals.arrival_of(head) == arrivals.arrival_of(head)
    bench.inbox.put("hosp1/folder/b.dcm", b"x")
    assert arrivals.arrival_of(head) != arrivals.arrival_of(bench.inbox.head("hosp1/folder/b.dcm"))
    granted = arrivals.new_arrival()
    bench.inbox.put(f"hosp1/uploads/{granted}", b"x")
    assert arrivals.arrival_of(bench.inbox.head(f"hosp1/uploads/{granted}")) == granted


def test_two_archives_with_equal_uids_know_nothing_of_each_other(tmp_path: Path) -> None:
    """The archive's id is in every key of both stores."""
    one = Bench(tmp_path)
    other = Bench(tmp_path, buckets=one.buckets, archive_id="hosp10")  # type: ignore[arg-type]
    take(one, slice_of(patient_id="ONE"))
    body = slice_of(patient_id="TEN")
    key = other.upload(arrivals.new_arrival(), body)
    ingest_object(other.workspace(), key, effects=QUICK)
    for bench, patient in ((one, "ONE"), (other, "TEN")):
        held = contents.study_contents(bench.workspace(), STUDY)
        assert held.summary.patient_ids == (patient,)
        assert held.summary.number_of_instances == 1


def test_a_damaged_member_of_a_zip_does_not_take_the_others_with_it(bench: Bench) -> None:
    """Its checksum does not hold: it is named, the bundle is kept, the rest is stored."""
    files = {str(number): slice_of(number=number) for number in (1, 2, 3)}
    body = zipped(files, zipfile.ZIP_STORED)
    at = body.index(files["2"]) + len(files["2"]) - 3
    receipt = take(bench, body[:at] + b"\xff" + body[at + 1 :])
    assert (receipt.state, receipt.failures) == ("partial", (("", "bad-bundle", "2"),))
    assert current(bench) == [files["1"], files["3"]]
    assert next(head.key for head in bench.objects.list("quarantine/")) == f"quarantine/hosp1/{receipt.arrival}"


def stow_body(files: list[bytes]) -> bytes:
    """As other clients spell it."""
    head = b"--XX__boundary\r\ncontent-type: application/dicom\r\n\r\n"
    return b"".join(head + data + b"\r\n" for data in files) + b"--XX__boundary--"


def test_a_stow_body_that_was_uploaded_is_taken_in(bench: Bench) -> None:
    """The way for bodies above the gateway's size: any spelling, several series, junk named by its number."""
    big = slice_of(number=1, rows=1024, columns=1024, pixels=bytes(range(256)) * 8192)  # longer than any buffer
    files = [slice_of(number=2), b"junk", big, slice_of(series="1.2.3.2")]
    receipt = take(bench, stow_body(files))
    assert (receipt.counts, receipt.failures) == ({"failed": 1, "stored": 3}, (("", "not-dicom", "2"),))
    assert current(bench) == [big, slice_of(number=2)]


@pytest.mark.parametrize("body_of", [stow_body, pack_of])
def test_a_multipart_body_larger_than_memory_is_read_as_a_stream(
    bench: Bench, small_limit: int, body_of: Callable[[list[bytes]], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small parts in lots, large ones by multipart copy."""
    files = [large(1), *(slice_of(number=number) for number in range(2, 12)), large(12)]
    monkeypatch.setattr(grammar, "MAX_BYTES", 1 << 20)
    body = body_of(files)
    monkeypatch.setattr(grammar, "MAX_BYTES", small_limit)
    assert take(bench, body).counts == {"stored": 12}
    assert current(bench) == files
    assert bench.objects.calls["join"] == 2
    assert list(bench.objects.list("spill/")) == []
