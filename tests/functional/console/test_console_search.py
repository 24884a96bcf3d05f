"""The dashboard's study list and overview, over studies that were really taken in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.functional.console.conftest import Ask, asker, two_hospitals
from tests.support.ct import small_ct
from tests.support.functions import load_function
from tests.support.moto_cloud import MotoCloud

from maypacs.access.keys import add_key
from maypacs.access.principals import Role
from maypacs.arrivals import new_arrival
from maypacs.ingest import store_instances
from maypacs.uids import ArchiveId


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MotoCloud]:
    folder = Path(tmp_path_factory.mktemp("cloud"))
    with pytest.MonkeyPatch.context() as monkeypatch, two_hospitals(folder, monkeypatch) as made:
        yield made


@pytest.fixture(scope="module")
def ask(cloud: MotoCloud) -> Ask:
    return asker(load_function("console"))


@pytest.fixture(scope="module")
def viewer(cloud: MotoCloud) -> str:
    workspace = cloud.runtime.unscoped_workspace(ArchiveId("hosp1"))
    studies = [
        small_ct("1.2.1", name="Nguyễn^Văn Thử", patient_id="P1", date="20260101", accession="A100"),
        small_ct("1.2.2", name="Trần^Thị Mẫu", patient_id="P2", date="20260102", accession="P1"),
        small_ct("1.2.3", name="Nguyễn^Thị Thử", patient_id="P3", date="20260103"),
        small_ct("1.2.3", name="Nguyễn^Thị Thử", patient_id="P3X", date="20260103", series="2"),
    ]
    for data in studies:
        (outcome,) = store_instances(workspace, new_arrival(), [data])
        assert outcome.result == "stored"
    other = cloud.runtime.unscoped_workspace(ArchiveId("hosp10"))
    store_instances(other, new_arrival(), [small_ct("1.2.9", name="Nguyễn^Văn Thử", patient_id="P1", date="20260101")])
    return add_key(cloud.runtime.accounts, "hosp1", Role.VIEWER).key


def found(ask: Ask, key: str, body: dict[str, Any]) -> list[str]:
    reply = ask("POST", "/api/archives/hosp1/search", body, key=key)
    assert reply.status == 200, reply.body
    return [study["study_instance_uid"] for study in reply.json()["studies"]]


@pytest.mark.parametrize(
    ("body", "expected", "why"),
    [
        ({}, ["1.2.3", "1.2.2", "1.2.1"], "everything, newest first"),
        ({"text": "nguyen"}, ["1.2.3", "1.2.1"], "a name without accents"),
        ({"text": "thử văn"}, ["1.2.1"], "words in any order"),
        ({"text": "P1"}, ["1.2.1"], "a patient id before an accession number of the same text"),
        ({"text": "A100"}, ["1.2.1"], "no patient id: an accession number"),
        ({"text": "P3X"}, ["1.2.3"], "a second patient id of one study is searchable"),
        ({"text": "A10"}, ["1.2.1"], "the beginning of an accession number"),
        ({"text": "P3"}, ["1.2.3"], "a whole id, though it begins another one too"),
        ({"text": "999"}, [], "nothing of any kind"),
        ({"from": "20260102", "to": "20260102"}, ["1.2.2"], "one day"),
        ({"from": "20260102"}, ["1.2.3", "1.2.2"], "from a day on"),
        ({"modalities": ["MR"]}, [], "another modality"),
        ({"modalities": ["CT"], "text": "mẫu"}, ["1.2.2"], "together"),
        ({"query": {"PatientID": "P2", "AccessionNumber": ""}}, ["1.2.2"], "an empty value is no condition"),
    ],
)
def test_one_box_finds_what_a_doctor_types(
    ask: Ask, viewer: str, body: dict[str, Any], expected: list[str], why: str
) -> None:
    """Names, patient ids, accession numbers, dates, modalities; never another archive's studies."""
    assert found(ask, viewer, body) == expected, why


def test_a_page_leads_to_the_next_until_the_end(ask: Ask, viewer: str) -> None:
    """Each study once, in order."""
    seen: list[str] = []
    cursor = None
    for _ in range(5):
        body = {"limit": 1, "cursor": cursor}
        page = ask("POST", "/api/archives/hosp1/search", body, key=viewer).json()
        seen += [study["study_instance_uid"] for study in page["studies"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == ["1.2.3", "1.2.2", "1.2.1"]


def test_a_cursor_opens_nothing_but_its_own_search(ask: Ask, cloud: MotoCloud, viewer: str) -> None:
    """Not another query, not another archive, not after a change of a character; and it shows nothing."""
    cursor = ask("POST", "/api/archives/hosp1/search", {"limit": 1, "text": "nguyen"}, key=viewer).json()["next"]
    assert "nguyen" not in cursor
    foreign = add_key(cloud.runtime.accounts, "hosp10", Role.VIEWER).key
    tampered = ("B" if cursor[0] == "A" else "A") + cursor[1:]
    for archive, key, body in (
        ("hosp1", viewer, {"limit": 1, "text": "tran", "cursor": cursor}),
        ("hosp10", foreign, {"limit": 1, "text": "nguyen", "cursor": cursor}),
        ("hosp1", viewer, {"limit": 1, "text": "nguyen", "cursor": tampered}),
        ("hosp1", viewer, {"limit": 1, "text": "nguyen", "cursor": "é.x"}),
        ("hosp1", viewer, {"limit": 1, "text": "nguyen", "cursor": 7}),
    ):
        assert ask("POST", f"/api/archives/{archive}/search", body, key=key).status == 400


@pytest.mark.parametrize(
    "body",
    [
        {"limit": 0},
        {"limit": 201},
        {"limit": "10"},
        {"query": []},
        {"query": {"PatientID": 1}},
        {"query": {"limit": "1000"}},
        {"from": "2026-01-01"},
        {"modalities": "CT"},
        {"modalities": ["C,T"]},
        {"text": ["x"]},
        {"text": "x" * 300},
    ],
)
def test_a_search_that_makes_no_sense_is_400(ask: Ask, viewer: str, body: dict[str, Any]) -> None:
    """And the answer never repeats what was searched."""
    assert ask("POST", "/api/archives/hosp1/search", body, key=viewer).status == 400


def test_the_overview_shows_series_and_what_is_wrong_with_a_study(ask: Ask, viewer: str) -> None:
    """Two patient ids in one study are a warning that a person sees."""
    overview = ask("GET", "/api/archives/hosp1/studies/1.2.3", key=viewer).json()
    assert overview["dicom"]["00100010"]["Value"][0]["Alphabetic"] == "Nguyễn^Thị Thử"
    assert overview["dicom"]["00081030"]["Value"] == ["CT lồng ngực"]
    assert overview["series"][0]["dicom"]["0008103E"]["Value"] == ["Ngực 2.5 mm"]
    assert overview["thumbnail"] == "/dicomweb/hosp1/studies/1.2.3/thumbnail"
    assert overview["warnings"]
    assert overview["conflicts"] == 0
    assert [(s["series_instance_uid"], s["modality"], s["instances"]) for s in overview["series"]] == [
        ("1.2.3.1", "CT", 1),
        ("1.2.3.2", "CT", 1),
    ]
    assert overview["series"][0]["transfer_syntaxes"] == ["1.2.840.10008.1.2.1"]


def test_a_conflict_is_counted_where_people_look(ask: Ask, cloud: MotoCloud, viewer: str) -> None:
    """A different image under the same UID is kept and shown as a number."""
    workspace = cloud.runtime.unscoped_workspace(ArchiveId("hosp1"))
    changed = small_ct("1.2.1", name="Nguyễn^Văn Thử", patient_id="P1", date="20260105", accession="A100")
    (outcome,) = store_instances(workspace, new_arrival(), [changed])
    assert outcome.result == "conflict"
    overview = ask("GET", "/api/archives/hosp1/studies/1.2.1", key=viewer).json()
    assert (overview["conflicts"], overview["series"][0]["conflicts"], overview["series"][0]["instances"]) == (1, 1, 1)


@pytest.mark.parametrize(("study", "status"), [("1.2.9", 404), ("9.9", 404), ("x", 400), ("1.2.3#0", 400)])
def test_a_study_that_is_not_here_is_404(ask: Ask, viewer: str, study: str, status: int) -> None:
    """Another archive's study too."""
    assert ask("GET", f"/api/archives/hosp1/studies/{study.replace('#', '%23')}", key=viewer).status == status


def test_a_search_and_an_overview_are_audited(ask: Ask, cloud: MotoCloud, viewer: str) -> None:
    """The overview with its study; the search without what was searched."""
    found(ask, viewer, {"text": "nguyen"})
    ask("GET", "/api/archives/hosp1/studies/1.2.1", key=viewer)
    import time

    records = cloud.runtime.gatekeeper.audit.read(ArchiveId("hosp1"), time.strftime("%Y%m%d", time.gmtime()))
    assert {(r.action, r.study_instance_uid) for r in records} >= {("search", ""), ("search", "1.2.1")}
    assert "nguyen" not in str(records)
