"""Part 10 files as they are read: group 0002, and the few values that a pack needs."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.uid import UID
from tests.conftest import sample_files, sample_id
from tests.support.stub_edge import write_ct

from edge_forwarder.dicom import part10
from edge_forwarder.dicom.identity import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from edge_forwarder.dicom.peek import identify
from edge_forwarder.errors import UnreadableError

uids = st.from_regex(r"[1-9][0-9]{0,9}(\.[0-9]{1,9}){0,5}", fullmatch=True)


@given(uids, uids, uids)
def test_file_meta_is_what_part_10_asks_for(sop_class: str, sop: str, syntax: str) -> None:
    """pydicom reads back each value; our own reader finds the same, and where the data set starts."""
    head = part10.file_meta(sop_class, sop, syntax)
    meta = pydicom.dcmread(BytesIO(head)).file_meta
    assert meta.FileMetaInformationVersion == b"\0\1"
    assert (meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID) == (sop_class, sop)
    assert meta.TransferSyntaxUID == syntax
    assert meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert meta.ImplementationVersionName == IMPLEMENTATION_VERSION_NAME
    assert meta.FileMetaInformationGroupLength == len(head) - 144
    assert len(meta) == 7, "nothing else: no time, no AE title"
    assert part10.dataset_offset(head) == len(head)
    assert part10.meta_value(head, 0x0010) == syntax
    assert part10.meta_value(head, 0x0003) == sop


@given(st.binary(max_size=400))
def test_reading_file_meta_of_garbage_finds_nothing_or_something_but_never_fails(data: bytes) -> None:
    """Offsets stay within reason, values are text."""
    assert part10.dataset_offset(data) >= 0
    assert isinstance(part10.meta_value(data, 0x0010), str)


def readable_samples() -> list[Path]:
    """Samples with a group length as the edge writes it, as every file of the spool has."""
    return [path for path in sample_files() if path.read_bytes()[132:140] == b"\2\0\0\0UL\4\0"]


@pytest.mark.parametrize("path", readable_samples(), ids=sample_id)
@pytest.mark.filterwarnings("ignore")
def test_peek_agrees_with_pydicom_on_every_sample(path: Path) -> None:
    """The walk over the head finds the same UIDs as pydicom, or both find none."""
    try:
        ds = pydicom.dcmread(path, stop_before_pixels=True)
        expected = tuple(
            str(ds.get(name, "")).strip(" \0") for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
        )
    except Exception:
        expected = ("", "", "")
    try:
        identity = identify(path)
    except UnreadableError:
        assert not all(value and set(value) <= set("0123456789.") and len(value) <= 64 for value in expected)
        return
    found = (identity.study_instance_uid, identity.series_instance_uid, identity.sop_instance_uid)
    assert found == expected
    assert identity.transfer_syntax_uid == str(ds.file_meta.TransferSyntaxUID)
    if "Modality" in ds and isinstance(ds.Modality, str):
        assert identity.modality == ds.Modality.strip().upper()[:16]


@pytest.mark.parametrize(
    ("study", "procedure", "expected"),
    [("", "STAT", "STAT"), ("HIGH", "", "HIGH"), ("LOW", "stat ", "STAT"), ("", "", "")],
)
@pytest.mark.filterwarnings("ignore")
def test_an_image_may_say_how_urgent_it_is(tmp_path: Path, study: str, procedure: str, expected: str) -> None:
    """Requested Procedure Priority, else the retired Study Priority ID."""
    path = write_ct(tmp_path / "a.dcm", sop="2.25.111")
    ds = pydicom.dcmread(path)
    for tag, value in ((0x0032000C, study), (0x00401003, procedure)):
        if value:
            ds.add_new(tag, "CS", value)
    ds.save_as(path)
    assert identify(path).priority == expected


def test_a_walk_that_fails_after_the_uids_costs_the_priority_alone(tmp_path: Path) -> None:
    """The rest is for the cloud to judge."""
    path = write_ct(tmp_path / "a.dcm", sop="2.25.111", number=7)
    data = path.read_bytes()
    at = data.index(b"\x28\x00\x02\x00US")
    path.write_bytes(data[:at] + b"\x28\x00\x02\x00\xff\xff" + data[at + 6 :])
    identity = identify(path)
    assert (identity.sop_instance_uid, identity.instance_number, identity.priority) == ("2.25.111", 7, "")


@pytest.mark.parametrize("implicit", [False, True], ids=["explicit", "implicit"])
@pytest.mark.parametrize("undefined", [False, True], ids=["defined length", "undefined length"])
def test_peek_steps_over_nested_sequences(tmp_path: Path, implicit: bool, undefined: bool) -> None:
    """UIDs inside referenced-image sequences before the series UID are not the instance's own."""
    path = write_ct(tmp_path / "a.dcm", study="2.25.7", series="2.25.77", sop="2.25.777", number=12)
    ds = pydicom.dcmread(path)
    inner = Dataset()
    inner.StudyInstanceUID, inner.SeriesInstanceUID = "2.25.666", "2.25.667"
    outer = Dataset()
    outer.ReferencedSOPInstanceUID = "2.25.668"
    outer.ReferencedSeriesSequence = [inner, inner]
    ds.ReferencedImageSequence = [outer, Dataset(), outer]
    for sequence in (ds["ReferencedImageSequence"], outer["ReferencedSeriesSequence"]):
        sequence.is_undefined_length = undefined
        for item in sequence.value:
            item.is_undefined_length_sequence_item = undefined
    ds.file_meta.TransferSyntaxUID = UID("1.2.840.10008.1.2" if implicit else "1.2.840.10008.1.2.1")
    ds.save_as(path, implicit_vr=implicit, little_endian=True)
    identity = identify(path)
    assert (identity.study_instance_uid, identity.series_instance_uid) == ("2.25.7", "2.25.77")
    assert (identity.sop_instance_uid, identity.instance_number, identity.modality) == ("2.25.777", 12, "CT")


@pytest.mark.parametrize("uid", ["", "2.25.x", "1" * 65, "..", "../../etc"], ids=repr)
@pytest.mark.filterwarnings("ignore")
def test_a_study_uid_that_is_none_is_unreadable(tmp_path: Path, uid: str) -> None:
    """What cannot be a key or a path goes up as a file, for a person to look at."""
    path = write_ct(tmp_path / "a.dcm", sop="2.25.1")
    ds = pydicom.dcmread(path)
    ds.StudyInstanceUID = uid
    ds.save_as(path)
    with pytest.raises(UnreadableError):
        identify(path)


@given(st.binary(max_size=2000))
def test_peek_at_garbage_is_unreadable_or_an_identity_but_never_another_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    """Whatever a sender sends was acknowledged: the keeper must live on."""
    path = tmp_path_factory.mktemp("peek") / "a.dcm"
    path.write_bytes(part10.file_meta("1.2", "1.3", "1.2.840.10008.1.2.1") + data)
    try:
        assert identify(path).study_instance_uid
    except UnreadableError:
        pass


def test_a_number_that_no_database_takes_is_none(tmp_path: Path) -> None:
    """InstanceNumber is what somebody sent: 200 digits would stop the journal for everybody else, too."""
    path = write_ct(tmp_path / "a.dcm", sop="2.25.1", number=1)
    data = path.read_bytes()
    element = b"\x20\x00\x13\x00IS\x02\x001 "
    assert data.count(element) == 1
    path.write_bytes(data.replace(element, b"\x20\x00\x13\x00IS\xc8\x00" + b"9" * 200))
    assert identify(path).instance_number == 0
