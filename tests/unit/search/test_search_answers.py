"""What the items of a Search answer hold, at every level and for every target resource, over studies really stored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.support.instances import part10
from tests.support.workspaces import Bench

from maypacs import arrivals, search_instances
from maypacs.index.rows import Attributes
from maypacs.ingest import store_instances
from maypacs.query import Level, parse_query
from maypacs.search import SearchResult, search
from maypacs.uids import Uid
from maypacs.workspace import Workspace

STUDY, OTHER = Uid("1.2.826.0.1.3680043.10.9.1"), Uid("1.2.826.0.1.3680043.10.9.2")
CT, SC = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.7"

#: Tables 10.6.3-3, 10.6.3-4 and 10.6.3-5, read literally (of those "if known", the ones the files have).
STUDY_TABLE = {
    "00080005", "00080020", "00080030", "00080050", "00080056", "00080061", "00080090", "00081190", "00100010",
    "00100020", "00100030", "00100040", "0020000D", "00200010", "00201206", "00201208",
}  # fmt: skip
SERIES_TABLE = {"00080005", "00080060", "0008103E", "00081190", "0020000E", "00200011", "00201209"}
INSTANCE_TABLE = {
    "00080005", "00080016", "00080018", "00080056", "00081190", "00200013", "00280010", "00280011", "00280100",
}  # fmt: skip
#: More than the tables ask, at lower levels: clients read it there.
OURS = {"0020000D", "0020000E", "00080056"}


def instance(study: str, series: int, number: int, **attributes: Any) -> bytes:
    found = {
        "character_set": "ISO_IR 192",
        "sop_class": CT,
        "instance": f"{study}.{series}.{number}",
        "study_date": "20260115",
        "study_time": "083000",
        "accession": "A77",
        "modality": "CT",
        "study_description": "Ngực",
        "series_description": f"Loạt {series}",
        "patient_name": "Nguyễn^Văn Thử",
        "patient_id": "P77",
        "study": study,
        "series": f"{study}.{series}",
        "series_number": str(series),
        "instance_number": str(number),
        "rows": 128,
        "columns": 64,
        "bits_allocated": 16,
    }
    return part10(found | attributes)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A study of two series (12 and 3 instances, series number 10 sorts after 9) and one of another patient."""
    workspace = Bench(tmp_path_factory.mktemp("answers")).workspace()
    files = [instance(STUDY, 9, number) for number in range(1, 13)]
    files += [instance(STUDY, 10, number, modality="SR", rows=256, sop_class=SC) for number in range(1, 4)]
    files += [
        instance(OTHER, 1, 1, patient_name="Trần^Thị Mẫu", patient_id="P8", accession="", study_date="20250101"),
    ]
    outcomes = store_instances(workspace, arrivals.ulid_at(1_760_000_000), files)
    assert [outcome.result for outcome in outcomes] == ["stored"] * len(files)
    return workspace


def ask(
    workspace: Workspace, level: Level, *, study: Uid | None = None, series: str = "", **params: str
) -> SearchResult:
    asked = {name: [value] for name, value in params.items()}
    return search(workspace, parse_query(asked, level, study=study, series=Uid(series) if series else None))


def values(result: SearchResult, tag: str) -> list[Any]:
    return [item[tag].get("Value") for item in result.items]


def test_a_study_holds_exactly_its_table(workspace: Workspace) -> None:
    """Empty ones with their VR alone; no series or SOP UID, whatever is asked for."""
    (newest, older) = ask(workspace, "study", includefield="00080060,SOPInstanceUID,0020000E,00280010").items
    assert set(newest) == set(older) == STUDY_TABLE
    assert newest["00080005"] == {"vr": "CS", "Value": ["ISO_IR 192"]}
    assert newest["00100010"] == {"vr": "PN", "Value": [{"Alphabetic": "Nguyễn^Văn Thử"}]}
    assert newest["00080061"] == {"vr": "CS", "Value": ["CT", "SR"]}
    assert newest["00201206"] == {"vr": "IS", "Value": [2]}
    assert newest["00201208"] == {"vr": "IS", "Value": [15]}
    assert newest["00080056"] == {"vr": "CS", "Value": ["ONLINE"]}
    assert newest["00081190"] == {"vr": "UR", "Value": [f"/studies/{STUDY}"]}
    assert newest["00100040"] == {"vr": "CS"}
    assert older["00080050"] == {"vr": "SH"}
    assert list(newest) == sorted(newest)


def test_a_study_holds_what_is_included_and_what_was_matched(workspace: Workspace) -> None:
    """By keyword, by tag, by `all`, by being a key."""
    for params in ({"includefield": "StudyDescription"}, {"includefield": "all"}, {"StudyDescription": "Ng*"}):
        item = ask(workspace, "study", PatientID="P77", **params).items[0]
        assert item["00081030"] == {"vr": "LO", "Value": ["Ngực"]}
    assert "00080062" in ask(workspace, "study", includefield="SOPClassesInStudy").items[0]


def test_series_of_a_study_hold_their_table(workspace: Workspace) -> None:
    """In the order of their numbers, not of their texts."""
    found = ask(workspace, "series", study=STUDY)
    assert [set(item) for item in found.items] == [SERIES_TABLE | OURS] * 2
    assert values(found, "00200011") == [[9], [10]]
    assert values(found, "00201209") == [[12], [3]]
    assert values(found, "00081190") == [[f"/studies/{STUDY}/series/{STUDY}.{n}"] for n in (9, 10)]
    assert values(found, "0008103E") == [["Loạt 9"], ["Loạt 10"]]


def test_all_series_hold_their_studies_attributes_too(workspace: Workspace) -> None:
    """Whatever the parameters say (PS3.18 10.6.3.3.2)."""
    found = ask(workspace, "series")
    assert [set(item) for item in found.items] == [SERIES_TABLE | STUDY_TABLE | OURS] * 3
    assert values(found, "0020000D") == [[STUDY], [STUDY], [OTHER]]
    assert values(found, "00081190")[0] == [f"/studies/{STUDY}/series/{STUDY}.9"]


def test_series_are_matched_by_keys_of_both_levels(workspace: Workspace) -> None:
    """Modality of the series, not of the study; the patient of the study."""
    assert values(ask(workspace, "series", Modality="SR"), "0020000E") == [[f"{STUDY}.10"]]
    assert values(ask(workspace, "series", study=STUDY, SeriesNumber="9"), "0020000E") == [[f"{STUDY}.9"]]
    assert values(ask(workspace, "series", PatientName="tran*"), "0020000E") == [[f"{OTHER}.1"]]
    assert values(ask(workspace, "series", SeriesInstanceUID=f"{OTHER}.1"), "0020000D") == [[OTHER]]
    assert ask(workspace, "series", PatientID="P8", Modality="SR").items == ()
    included = ask(workspace, "series", study=STUDY, includefield="PatientName,Modality").items[0]
    assert included["00100010"]["Value"] == [{"Alphabetic": "Nguyễn^Văn Thử"}]


def test_instances_of_a_series_hold_their_table(workspace: Workspace) -> None:
    """In the order of their numbers; 2 before 10."""
    found = ask(workspace, "instance", study=STUDY, series=f"{STUDY}.9")
    assert [set(item) for item in found.items] == [INSTANCE_TABLE | OURS] * 12
    assert values(found, "00200013") == [[number] for number in range(1, 13)]
    assert values(found, "00081190")[1] == [f"/studies/{STUDY}/series/{STUDY}.9/instances/{STUDY}.9.2"]
    assert values(found, "00280010")[0] == [128]


def test_instances_of_a_study_hold_their_series_attributes_too(workspace: Workspace) -> None:
    """PS3.18 10.6.3.3.3."""
    found = ask(workspace, "instance", study=STUDY)
    assert [set(item) for item in found.items] == [INSTANCE_TABLE | SERIES_TABLE | OURS] * 15
    assert values(found, "00200011") == [[9]] * 12 + [[10]] * 3


def test_all_instances_hold_everything(workspace: Workspace) -> None:
    """Study, series and instance."""
    found = ask(workspace, "instance")
    assert [set(item) for item in found.items] == [INSTANCE_TABLE | SERIES_TABLE | STUDY_TABLE | OURS] * 16


def test_instances_are_matched_by_any_attribute(workspace: Workspace) -> None:
    """`?Rows=128` at this level; a SOP Instance UID with and without its study."""
    assert len(ask(workspace, "instance", study=STUDY, Rows="256").items) == 3
    assert values(ask(workspace, "instance", Rows="256"), "00280010") == [[256]] * 3
    assert values(ask(workspace, "instance", SOPInstanceUID=f"{STUDY}.10.2"), "00200013") == [[2]]
    assert values(ask(workspace, "instance", study=STUDY, SOPInstanceUID=f"{STUDY}.9.11"), "00200013") == [[11]]
    assert len(ask(workspace, "instance", study=STUDY, SOPClassUID=SC).items) == 3
    assert len(ask(workspace, "instance", study=STUDY, InstanceNumber="2").items) == 2
    assert ask(workspace, "instance", study=STUDY, SOPInstanceUID=f"{OTHER}.1.1").items == ()


def test_pages_of_instances_and_series_give_each_once(workspace: Workspace) -> None:
    """Across series and studies, with the count of the rest."""
    for level, total in (("instance", 16), ("series", 3)):
        uids: list[str] = []
        for offset in range(0, total, 2):
            page = ask(workspace, level, limit="2", offset=str(offset))  # type: ignore[arg-type]
            uids += [item["00081190"]["Value"][0] for item in page.items]
            assert (page.additional, page.additional_is_exact) == (max(0, total - offset - 2), True)
        assert len(set(uids)) == len(uids) == total


def test_a_page_of_a_series_parses_its_own_instances_only(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two lines of the sidecar for two instances, however many the pack holds."""
    parsed = []
    loads = search_instances.orjson.loads

    class Counting:
        @staticmethod
        def loads(line: bytes) -> Attributes:
            parsed.append(line)
            found: Attributes = loads(line)
            return found

    monkeypatch.setattr(search_instances, "orjson", Counting)
    page = ask(workspace, "instance", study=STUDY, series=f"{STUDY}.9", limit="2", offset="3")
    assert values(page, "00200013") == [[4], [5]]
    assert len(parsed) == 2


def test_unknown_studies_and_series_give_an_empty_answer(workspace: Workspace) -> None:
    """No match is no error."""
    assert ask(workspace, "series", study=Uid("9.9")).items == ()
    assert ask(workspace, "instance", study=Uid("9.9")).items == ()
    assert ask(workspace, "instance", study=STUDY, series="9.9").items == ()
    assert ask(workspace, "study", StudyInstanceUID="9.9").items == ()


def test_another_archive_sees_nothing(workspace: Workspace) -> None:
    """The same table, the same UIDs asked for."""
    stranger = Workspace(workspace.archive_id[:-1] + "10", workspace.table, workspace.store)  # type: ignore[arg-type]
    for level in ("study", "series", "instance"):
        assert ask(stranger, level).items == ()  # type: ignore[arg-type]
        assert ask(stranger, level, PatientID="P77").items == ()  # type: ignore[arg-type]
        assert ask(stranger, level, PatientName="nguyen*").items == ()  # type: ignore[arg-type]


def test_a_file_of_the_samples_is_found_by_its_name_without_accents(tmp_path: Path) -> None:
    """NFC and NFD spellings of one name are one."""
    from tests.conftest import OWN_SAMPLES

    workspace = Bench(tmp_path).workspace()
    files = [(OWN_SAMPLES / "files" / name).read_bytes() for name in ("vn_utf8_nfc.dcm", "vn_utf8_nfd.dcm")]
    store_instances(workspace, arrivals.ulid_at(1_760_000_000), files)
    named = ask(workspace, "study").items
    name = named[0]["00100010"]["Value"][0]["Alphabetic"]
    assert not name.isascii()
    assert len(ask(workspace, "study", PatientName=name).items) == len(named)
