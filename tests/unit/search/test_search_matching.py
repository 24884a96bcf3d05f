"""Every kind of matching (PS3.4 C.2.2.2, PS3.18 8.3.4) at every level, over studies really stored.

Every required key of Table 10.6.1-5 is asked for once; each row of QIDO-RS in docs/conformance.md names a test here.
"""

from __future__ import annotations

import io
import unicodedata
from typing import Any

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian
from tests.support.workspaces import Bench

from maypacs import arrivals
from maypacs.index.rows import Attributes
from maypacs.ingest import store_instances
from maypacs.query import Level, parse_query
from maypacs.search import SearchResult, search
from maypacs.uids import Uid
from maypacs.workspace import Workspace

ROOT = "1.2.826.0.1.3680043.10.8"
#: Four studies: of Hanoi with everything, of Kyiv, of a visitor with little, of Tokyo.
HANOI, KYIV, BARE, TOKYO = (Uid(f"{ROOT}.{n}") for n in (1, 2, 3, 4))
CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"


def request_item(step: str, procedure: str) -> Dataset:
    item = Dataset()
    item.ScheduledProcedureStepID, item.RequestedProcedureID = step, procedure
    item.private_block(0x0019, "MAYPACS TEST", create=True).add_new(2, "LO", f"private of {step}")
    return item


def part10(study: str, series: int, number: int, modality: str = "CT", **attributes: Any) -> Dataset:
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID = MR if modality == "MR" else CT
    ds.SOPInstanceUID = f"{study}.{series}.{number}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study, f"{study}.{series}"
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = modality, series, number
    ds.Rows, ds.Columns, ds.BitsAllocated = 128, 64, 16
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


def encoded(ds: Dataset) -> bytes:
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    out = io.BytesIO()
    ds.save_as(out, enforce_file_format=True, implicit_vr=False, little_endian=True)
    return out.getvalue()


def files() -> list[bytes]:
    hanoi = {
        "PatientName": unicodedata.normalize("NFD", "Nguyễn^Văn Thử"),
        "PatientID": "MAY-0017",
        "StudyDate": "20260115",
        "StudyTime": "233000",
        "TimezoneOffsetFromUTC": "+0700",
        "AccessionNumber": "ACC-17",
        "StudyID": "S17",
        "ReferringPhysicianName": "Trần^Thị Mẫu",
        "StudyDescription": "Ngực",
        "PerformedProcedureStepStartDate": "20260115",
        "PerformedProcedureStepStartTime": "234500",
    }
    first = part10(HANOI, 1, 1, **hanoi)
    first.RequestAttributesSequence = [request_item("SPS-1", "RP-1"), request_item("SPS-2", "RP-2")]
    first.AcquisitionDateTime = "20260115234000+0700"
    # The same creator has another block in the second instance.
    first.private_block(0x0009, "SOMEBODY ELSE", create=True).add_new(1, "LO", "theirs")
    first.private_block(0x0009, "MAYPACS TEST", create=True).add_new(1, "LO", "ours")
    second = part10(HANOI, 1, 2, **hanoi)
    second.RequestAttributesSequence = [request_item("SPS-1", "RP-1"), request_item("SPS-2", "RP-2")]
    second.private_block(0x0009, "MAYPACS TEST", create=True).add_new(1, "LO", "ours too")
    third = part10(HANOI, 2, 1, "MR", **hanoi)
    kyiv = part10(
        KYIV, 1, 1, PatientName="Тестенко^Олена", PatientID="MAY-0018", StudyDate="20260116", StudyTime="003000"
    )
    kyiv.TimezoneOffsetFromUTC = "+0200"
    bare = part10(BARE, 1, 1, "", PatientID="X1", PatientName="", StudyDescription=" ")
    tokyo = part10(TOKYO, 1, 1, PatientName="Thu^Mau=試験^太郎=しけん^たろう", PatientID="MAY-1", StudyDate="20260117")
    return [encoded(ds) for ds in (first, second, third, kyiv, bare, tokyo)]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = Bench(tmp_path_factory.mktemp("kinds")).workspace()
    stored = files()
    outcomes = store_instances(workspace, arrivals.ulid_at(1_760_000_000), stored)
    assert [outcome.result for outcome in outcomes] == ["stored"] * len(stored)
    return workspace


def ask(workspace: Workspace, level: Level = "study", **params: str) -> SearchResult:
    return search(workspace, parse_query({name: [value] for name, value in params.items()}, level))


def uids(result: SearchResult, tag: str = "0020000D") -> set[str]:
    return {item[tag]["Value"][0] for item in result.items}


REQUIRED = [
    # Table 10.6.1-5, (level, key, value, what is found)
    ("study", "StudyDate", "20260115", {HANOI}),
    ("study", "StudyTime", "233000", {HANOI}),
    ("study", "AccessionNumber", "ACC-17", {HANOI}),
    ("study", "ModalitiesInStudy", "MR", {HANOI}),
    ("study", "ReferringPhysicianName", "tran^thi mau", {HANOI}),
    ("study", "PatientName", "nguyen^van thu", {HANOI}),
    ("study", "PatientID", "MAY-0017", {HANOI}),
    ("study", "StudyInstanceUID", HANOI, {HANOI}),
    ("study", "StudyID", "S17", {HANOI}),
    ("series", "Modality", "MR", {f"{HANOI}.2"}),
    ("series", "SeriesInstanceUID", f"{HANOI}.2", {f"{HANOI}.2"}),
    ("series", "SeriesNumber", "2", {f"{HANOI}.2"}),
    ("series", "PerformedProcedureStepStartDate", "20260115", {f"{HANOI}.1", f"{HANOI}.2"}),
    ("series", "PerformedProcedureStepStartTime", "2345", {f"{HANOI}.1", f"{HANOI}.2"}),
    ("series", "RequestAttributesSequence.ScheduledProcedureStepID", "SPS-2", {f"{HANOI}.1"}),
    ("series", "RequestAttributesSequence.RequestedProcedureID", "RP-1", {f"{HANOI}.1"}),
    ("instance", "SOPClassUID", MR, {f"{HANOI}.2.1"}),
    ("instance", "SOPInstanceUID", f"{HANOI}.1.2", {f"{HANOI}.1.2"}),
    ("instance", "InstanceNumber", "2", {f"{HANOI}.1.2"}),
    ("instance", "AccessionNumber", "ACC-17", {f"{HANOI}.1.1", f"{HANOI}.1.2", f"{HANOI}.2.1"}),
]
UID_OF = {"study": "0020000D", "series": "0020000E", "instance": "00080018"}


@pytest.mark.parametrize(("level", "key", "value", "found"), REQUIRED)
def test_every_required_key_matches(workspace: Workspace, level: Level, key: str, value: str, found: set[str]) -> None:
    """Table 10.6.1-5, by keyword; and a value that nothing has finds nothing."""
    assert uids(ask(workspace, level, **{key: value}), UID_OF[level]) == found
    other = {"UI": "9.9.9", "DA": "19990101", "TM": "0101"}
    vr = "UI" if "UID" in key else "DA" if key.endswith("Date") else "TM" if key.endswith("Time") else ""
    assert ask(workspace, level, **{key: other.get(vr, "99")}).items == ()


EMPTY = [
    ("study", "PatientName", {BARE}),
    ("study", "StudyDate", {BARE}),
    ("study", "StudyTime", {BARE, TOKYO}),
    ("study", "AccessionNumber", {KYIV, BARE, TOKYO}),
    ("study", "ModalitiesInStudy", {BARE}),
    ("study", "StudyDescription", {KYIV, BARE, TOKYO}),
    ("study", "ReferringPhysicianName", {KYIV, BARE, TOKYO}),
    ("study", "StudyInstanceUID", set()),
    ("study", "PatientID", set()),
    ("series", "RequestAttributesSequence", {f"{HANOI}.2", f"{KYIV}.1", f"{BARE}.1", f"{TOKYO}.1"}),
    (
        "series",
        "RequestAttributesSequence.RequestedProcedureID",
        {f"{HANOI}.2", f"{KYIV}.1", f"{BARE}.1", f"{TOKYO}.1"},
    ),
    ("series", "Modality", {f"{BARE}.1"}),
    ("instance", "AcquisitionDateTime", {f"{HANOI}.1.2", f"{HANOI}.2.1", f"{KYIV}.1.1", f"{BARE}.1.1", f"{TOKYO}.1.1"}),
    ("instance", "SOPInstanceUID", set()),
]


@pytest.mark.parametrize(("level", "key", "found"), EMPTY)
def test_two_quotation_marks_find_what_has_no_value(
    workspace: Workspace, level: Level, key: str, found: set[str]
) -> None:
    """emptyvaluematching (PS3.18 8.3.4.5, PS3.4 C.2.2.2.7): empty, blank or not there."""
    result = ask(workspace, level, emptyvaluematching="true", **{key: '""'})
    assert uids(result, UID_OF[level]) == found
    assert result.warning is None


def test_empty_and_other_keys_go_together(workspace: Workspace) -> None:
    """Whatever drives the search."""
    for other in ({"PatientID": "MAY-0018"}, {"PatientName": "тестенко*"}, {"StudyDate": "20260116"}):
        assert uids(ask(workspace, emptyvaluematching="true", AccessionNumber='""', **other)) == {KYIV}
    assert ask(workspace, emptyvaluematching="true", PatientName='""', PatientID="MAY-0018").items == ()


def test_several_values_must_all_be_there_or_are_alternatives(workspace: Workspace) -> None:
    """multiplevaluematching (PS3.18 8.3.4.6, PS3.4 C.2.2.2.8); without it a list of modalities is any of them."""
    for value, every, some in (("CT\\MR", {HANOI}, {HANOI, KYIV, TOKYO}), ("MR\\US", set(), {HANOI})):
        assert uids(ask(workspace, multiplevaluematching="true", ModalitiesInStudy=value)) == every
        assert uids(ask(workspace, ModalitiesInStudy=value)) == some
        assert uids(ask(workspace, ModalitiesInStudy=value.replace("\\", ","))) == some


ZONES = [
    # Hanoi's study was at 23:30 of the 15th in +0700: 16:30 UTC. Kyiv's at 00:30 of the 16th in +0200: 22:30 UTC.
    ("+0700", "20260115", "", {HANOI}),
    ("+0700", "20260116", "", {KYIV}),  # 05:30 there
    ("+0000", "20260115", "", {HANOI, KYIV}),
    ("+0000", "20260116", "", set()),
    ("+1400", "20260116", "", {HANOI, KYIV}),
    ("-1200", "20260115", "", {HANOI, KYIV}),
    ("+0000", "", "1600-1700", {HANOI}),
    ("+0000", "", "22", {KYIV}),
    ("+0000", "20260115-20260115", "1600-1700", {HANOI}),
    ("+0000", "20260115-20260116", "2200-0100", {KYIV}),
    ("", "20260115-20260116", "2200-0100", {HANOI, KYIV}),
    ("+0700", "20260117", "", {TOKYO}),  # it does not say its zone: the request's
]


@pytest.mark.parametrize(("zone", "date", "time", "found"), ZONES)
def test_dates_and_times_of_a_request_are_in_its_time_zone(
    workspace: Workspace, zone: str, date: str, time: str, found: set[str]
) -> None:
    """Timezone Offset From UTC (PS3.4 C.2.2.2.5.2); a date and a time range are one range of moments (C.2.2.2.5.4)."""
    result = ask(workspace, TimezoneOffsetFromUTC=zone, StudyDate=date, StudyTime=time)
    assert uids(result) == found
    assert uids(ask(workspace, "series", **{"00080201": zone, "StudyDate": date, "StudyTime": time})) == found
    assert result.warning is None


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("20260115234000+0700", True),
        ("20260115164000+0000", True),
        ("20260115", True),
        ("202601151639-202601151641", False),  # in the data set's own zone
        ("202601151639+0000-202601151641+0000", True),
        ("20260115164001+0000-", False),
        ("-20260115164000+0000", True),
        ("2026", True),
        ("2026-0500", True),  # an offset, no range: the year 2026 of that zone
        ("2025-2026", True),
    ],
)
def test_date_times_match_by_moment(workspace: Workspace, value: str, found: bool) -> None:
    """DT keys (PS3.4 C.2.2.2.5.3): precision, ranges, offsets."""
    assert bool(ask(workspace, "instance", AcquisitionDateTime=value).items) is found


def test_date_time_keys_that_cannot_be_read_are_refused(workspace: Workspace) -> None:
    """400, not an empty answer."""
    from maypacs.errors import BadRequestError

    for value in ("yesterday", "-", "20261399", "2026-x", "20260115+9900"):
        with pytest.raises(BadRequestError):
            ask(workspace, "instance", AcquisitionDateTime=value)


def test_keys_of_one_sequence_match_in_one_item(workspace: Workspace) -> None:
    """PS3.4 C.2.2.2.6: SPS-1 and RP-1 are of one item, SPS-1 and RP-2 of two. By tag, keyword, with wildcards."""
    step, procedure = "00400275.00400009", "RequestAttributesSequence.RequestedProcedureID"
    assert uids(ask(workspace, "series", **{step: "SPS-1", procedure: "RP-1"}), "0020000E") == {f"{HANOI}.1"}
    assert uids(ask(workspace, "series", **{step: "SPS-?", procedure: "*2"}), "0020000E") == {f"{HANOI}.1"}
    for level in ("series", "instance"):
        assert ask(workspace, level, **{step: "SPS-1", procedure: "RP-2"}).items == ()  # type: ignore[arg-type]
    assert len(ask(workspace, "instance", **{step: "SPS-1"}).items) == 2


def test_private_attributes_are_matched_by_their_creator(workspace: Workspace) -> None:
    """In whichever block a data set gave that creator; at every level, inside sequences, and the creator alone."""
    ours = {"00090010": "MAYPACS TEST"}
    assert uids(ask(workspace, "instance", **ours, **{"00091001": "ours*"}), "00080018") == {
        f"{HANOI}.1.1",
        f"{HANOI}.1.2",
    }
    assert uids(ask(workspace, "instance", **ours, **{"00091001": "ours too"}), "00080018") == {f"{HANOI}.1.2"}
    assert ask(workspace, "instance", **ours, **{"00091001": "theirs"}).items == ()
    assert uids(ask(workspace, **ours, **{"00091001": "ours too"})) == {HANOI}
    assert uids(ask(workspace, "series", **ours, **{"00091001": "ours too"}), "0020000E") == {f"{HANOI}.1"}
    assert ask(workspace, **ours, **{"00091001": "nobody's"}).items == ()
    inside = {"00400275.00190010": "MAYPACS TEST", "00400275.00191002": "private of SPS-2"}
    assert uids(ask(workspace, "series", **inside), "0020000E") == {f"{HANOI}.1"}
    assert uids(ask(workspace, **{"00090010": "SOMEBODY ELSE"})) == {HANOI}
    assert uids(ask(workspace, "instance", **{"00090010": "SOMEBODY*"}), "00080018") == {f"{HANOI}.1.1"}
    assert uids(ask(workspace, "instance", **{"00091001": "theirs"}), "00080018") == {f"{HANOI}.1.1"}


def test_private_attributes_are_included_with_their_creator(workspace: Workspace) -> None:
    """PS3.18 10.6.3.3: the element and its creator, as the data set numbers them."""
    block: Attributes = {
        "00090011": {"vr": "LO", "Value": ["MAYPACS TEST"]},
        "00091101": {"vr": "LO", "Value": ["ours"]},
    }
    for level in ("study", "series", "instance"):
        params = {"00090010": "MAYPACS TEST", "includefield": "00091001", "StudyInstanceUID": HANOI}
        item = ask(workspace, level, **params).items[0]  # type: ignore[arg-type]
        assert {tag: item[tag] for tag in item if tag.startswith("0009")} == block
        literal = ask(workspace, level, includefield="00091001", StudyInstanceUID=HANOI).items[0]  # type: ignore[arg-type]
        assert literal["00091001"]["Value"] == ["theirs"]
        assert literal["00090010"]["Value"] == ["SOMEBODY ELSE"]
    assert "00091101" in ask(workspace, "instance", includefield="all", SOPInstanceUID=f"{HANOI}.1.1").items[0]


def test_sequences_are_included_with_their_items(workspace: Workspace) -> None:
    """By keyword, by tag, by the path to an attribute in them."""
    for field in ("RequestAttributesSequence", "00400275", "00400275.00400009"):
        for level in ("series", "instance"):
            item = ask(workspace, level, includefield=field, StudyInstanceUID=HANOI).items[0]  # type: ignore[arg-type]
            assert [each["00400009"]["Value"] for each in item["00400275"]["Value"]] == [["SPS-1"], ["SPS-2"]]


def test_lists_of_uids_are_alternatives_at_every_level(workspace: Workspace) -> None:
    """By comma and by backslash (PS3.18 8.3.4.1, PS3.4 C.2.2.2.2)."""
    for glue in (",", "\\"):
        assert uids(ask(workspace, StudyInstanceUID=glue.join([HANOI, TOKYO, "9.9"]))) == {HANOI, TOKYO}
        series = ask(workspace, "series", SeriesInstanceUID=glue.join([f"{HANOI}.2", f"{KYIV}.1"]))
        assert uids(series, "0020000E") == {f"{HANOI}.2", f"{KYIV}.1"}
        instances = ask(workspace, "instance", SOPInstanceUID=glue.join([f"{HANOI}.1.2", f"{KYIV}.1.1"]))
        assert uids(instances, "00080018") == {f"{HANOI}.1.2", f"{KYIV}.1.1"}


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("тестенко*", {KYIV}),
        ("ТЕСТЕНКО^ОЛЕНА", {KYIV}),
        ("NGUYỄN*", {HANOI}),
        (unicodedata.normalize("NFD", "nguyễn^văn thử"), {HANOI}),
        (unicodedata.normalize("NFC", "nguyễn^văn thử"), {HANOI}),
        ("試験^太郎", {TOKYO}),
        ("しけん*", {TOKYO}),
        ("Thu^Mau=試験^太郎", {TOKYO}),
        ("thu^mau", {TOKYO}),
        ("van thu", {HANOI}),
        ("*太郎*", {TOKYO}),
    ],
)
def test_names_match_in_every_group_and_script(workspace: Workspace, key: str, found: set[str]) -> None:
    """Without regard to case, accents, composition; Cyrillic, ideographic and phonetic groups."""
    assert uids(ask(workspace, PatientName=key)) == found


def test_the_groups_of_a_name_come_back_apart(workspace: Workspace) -> None:
    """PS3.18 F.2.2."""
    (item,) = ask(workspace, PatientID="MAY-1").items
    assert item["00100010"]["Value"] == [
        {"Alphabetic": "Thu^Mau", "Ideographic": "試験^太郎", "Phonetic": "しけん^たろう"}
    ]


@pytest.mark.parametrize(
    ("key", "found"),
    [("MAY-00*", {HANOI, KYIV}), ("MAY-*", {HANOI, KYIV, TOKYO}), ("MAY-001?", {HANOI, KYIV}), ("M*7", {HANOI})],
)
def test_ids_match_by_their_beginning(workspace: Workspace, key: str, found: set[str]) -> None:
    """What a person has typed of them so far."""
    assert uids(ask(workspace, PatientID=key)) == found
    assert uids(ask(workspace, PatientID=key, AccessionNumber="ACC-*")) == {HANOI}
    assert uids(ask(workspace, PatientID=key, PatientName="nguyen*", ModalitiesInStudy="MR")) == {HANOI}


def test_time_ranges_are_open_at_either_end(workspace: Workspace) -> None:
    """PS3.4 C.2.2.2.5.2."""
    for value, found in (("2300-", {HANOI}), ("-0100", {KYIV}), ("0000-235959.999999", {HANOI, KYIV})):
        assert uids(ask(workspace, StudyTime=value)) == found


def test_the_availability_is_a_key_that_all_match(workspace: Workspace) -> None:
    """Everything is online."""
    assert len(ask(workspace, InstanceAvailability="ONLINE").items) == 4
    assert len(ask(workspace, "series", InstanceAvailability="ONLINE").items) == 5
    assert ask(workspace, InstanceAvailability="OFFLINE").items == ()
