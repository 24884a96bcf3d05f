"""QIDO-RS as DICOMweb answers (PS3.18 10.6): media types, 204, Warning, URLs, what OHIF asks. Matching: tests/unit."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pytest
from functions.dicomweb import handler as dicomweb
from tests.functional.dicomweb import make
from tests.functional.dicomweb.client import HOST, Client

OTHER = "1.2.826.0.1.3680043.8.498.8"


@pytest.fixture
def two_studies(client: Client) -> Client:
    """One of Thử, one of Mẫu, a day later."""
    client.stow(make.instance(1), make.instance(2))
    client.stow(
        make.instance(
            1, study=OTHER, series=OTHER + ".1", PatientName="Trần^Thị Mẫu", PatientID="P-2", StudyDate="20260103"
        )
    )
    return client


def _studies(client: Client, query: str = "") -> list[str]:
    reply = client.get(f"/studies{query}")
    return [] if reply.status == 204 else [item["0020000D"]["Value"][0] for item in reply.json()]


def test_no_match_is_204_without_a_body(two_studies: Client) -> None:
    """PS3.18 8.3.4.4."""
    reply = two_studies.get("/studies?PatientID=nobody")
    assert (reply.status, reply.body) == (204, b"")


def test_studies_come_newest_first_with_absolute_urls_and_derived_attributes(two_studies: Client) -> None:
    """Table 10.6.3-3."""
    reply = two_studies.get("/studies")
    assert reply.headers["content-type"] == "application/dicom+json"
    newest, oldest = reply.json()
    assert newest["0020000D"]["Value"] == [OTHER]
    root = f"https://{HOST}/dicomweb/{two_studies.archive}"
    assert oldest["00081190"]["Value"] == [f"{root}/studies/{make.STUDY}"]
    assert [each["00201206"]["Value"] for each in (newest, oldest)] == [[1], [1]]
    assert [each["00201208"]["Value"] for each in (newest, oldest)] == [[1], [2]]
    assert oldest["00080061"]["Value"] == ["CT"]
    assert oldest["00080056"]["Value"] == ["ONLINE"]
    two_studies.stow(make.instance(1, series=make.SERIES + ".5", Modality="SR"))
    _, oldest = two_studies.get("/studies").json()
    assert (oldest["00201206"]["Value"], oldest["00201208"]["Value"]) == ([2], [3])
    assert oldest["00080061"]["Value"] == ["CT", "SR"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?PatientID=P-2", [OTHER]),
        (f"?StudyInstanceUID={make.STUDY}", [make.STUDY]),
        ("?PatientName=nguyen*", [make.STUDY]),
        ("?PatientName=mau&fuzzymatching=true", [OTHER]),
        ("?00100010=TRAN*", [OTHER]),
        ("?StudyDate=20260103-20260109", [OTHER]),
        ("?ModalitiesInStudy=MR", []),
        ("?AccessionNumber=A-1&limit=1&offset=1", [make.STUDY]),
    ],
)
def test_studies_are_found_by_what_people_search_by(two_studies: Client, query: str, expected: list[str]) -> None:
    """Through the URL, percent-decoding included."""
    assert _studies(two_studies, query) == expected


def test_a_cut_list_carries_a_warning(two_studies: Client) -> None:
    """Warning: 299."""
    reply = two_studies.get("/studies?limit=1")
    assert len(reply.json()) == 1
    root = f"https://{HOST}/dicomweb/{two_studies.archive}"
    assert reply.headers["warning"] == f"299 {root}: There are 1 additional results that can be requested"
    assert "warning" not in two_studies.get("/studies").headers


def test_series_and_instances_are_listed_at_every_level(two_studies: Client) -> None:
    """Six search resources."""
    for path, count in (
        ("/series", 2),
        ("/instances", 3),
        (f"/studies/{make.STUDY}/series", 1),
        (f"/studies/{make.STUDY}/instances", 2),
        (f"{make.url()}/instances", 2),
        (f"{make.url()}/instances?InstanceNumber=2", 1),
    ):
        reply = two_studies.get(path)
        assert len(reply.json()) == count, path
        for item in reply.json():
            (url,) = item["00081190"]["Value"]
            assert two_studies.get(f"{url}/metadata").status == 200


def test_what_ohif_asks_is_answered(two_studies: Client) -> None:
    """Its literal queries, with comma lists percent-encoded."""
    fields = "00081030%2C00080060%2C00080090%2C00100030"
    query = f"?limit=101&offset=0&fuzzymatching=false&includefield={fields}&StudyInstanceUID={make.STUDY}"
    assert _studies(two_studies, query) == [make.STUDY]
    series = two_studies.get(f"/studies/{make.STUDY}/series?includefield=00080021%2C00080031%2C0008103E%2C00200011")
    assert [item["00200011"]["Value"] for item in series.json()] == [[1]]


BAD_QUERIES = ["?limit=-1", "?limit=x", "?offset=99999", "?StudyDate=yesterday", "?StudyInstanceUID=x"]


@pytest.mark.parametrize("query", BAD_QUERIES)
def test_a_bad_query_is_400(two_studies: Client, query: str) -> None:
    """With problem details, and without the value in the text."""
    reply = two_studies.get(f"/studies{query}")
    assert reply.status == 400
    assert "yesterday" not in reply.json()["detail"]


def test_other_types_than_json_and_xml_are_not_acceptable(two_studies: Client) -> None:
    """406; JSON under its general name too."""
    assert two_studies.get("/studies", "image/png").status == 406
    assert two_studies.get("/studies", "application/json").headers["content-type"] == "application/json"


def test_answers_are_utf8_whatever_charset_is_asked_for(two_studies: Client) -> None:
    """JSON has no other: Accept-Charset falls back on it (8.8.5), a charset parameter without it is 400 (8.3.3.2)."""
    name = "Nguyễn^Văn Thử"
    for accepted in ("utf-8", "iso-8859-1", "iso-8859-1, *;q=0.1", '"ISO_IR 192"'):
        reply = two_studies.get("/studies?PatientID=P-1", Accept_Charset=accepted)
        assert reply.status == 200
        assert reply.body.decode("utf-8").count(name) == 1
        assert reply.json()[0]["00080005"] == {"vr": "CS", "Value": ["ISO_IR 192"]}
    assert two_studies.get("/studies?charset=iso-8859-1,utf-8").status == 200
    assert two_studies.get("/studies?charset=iso-8859-1").status == 400


def test_matching_switches_work_through_the_url(two_studies: Client) -> None:
    """Percent-encoded quotation marks, backslashes and a plus; a switch that is neither true nor false is 400."""
    assert _studies(two_studies, "?emptyvaluematching=true&ReferringPhysicianName=%22%22") == [OTHER, make.STUDY]
    assert _studies(two_studies, "?emptyvaluematching=true&PatientName=%22%22") == []
    assert _studies(two_studies, "?multiplevaluematching=true&ModalitiesInStudy=CT%5CPT") == []
    assert _studies(two_studies, "?ModalitiesInStudy=CT%5CPT") == [OTHER, make.STUDY]
    assert _studies(two_studies, "?TimezoneOffsetFromUTC=%2B0700&StudyDate=20260103") == [OTHER]
    for query in ("?emptyvaluematching=1", "?multiplevaluematching=yes", "?TimezoneOffsetFromUTC=7"):
        assert two_studies.get(f"/studies{query}").status == 400


def test_what_names_no_attribute_is_ignored_with_a_warning(two_studies: Client) -> None:
    """And a key of a lower level is refused."""
    reply = two_studies.get("/studies?orderby=StudyDate")
    assert reply.status == 200
    assert reply.headers["warning"].startswith(f"299 https://{HOST}/dicomweb/{two_studies.archive}: not supported")
    assert two_studies.get("/studies?Rows=16").status == 400
    assert len(two_studies.get("/instances?Rows=16").json()) == 3


@pytest.fixture
def logged(monkeypatch: pytest.MonkeyPatch) -> Callable[[], dict[str, Any]]:
    """What the function's log says of the last request."""
    stream = io.StringIO()
    monkeypatch.setattr(dicomweb.logger.registered_handler, "stream", stream)

    def last() -> dict[str, Any]:
        assert "P-2" not in stream.getvalue()
        assert make.STUDY not in stream.getvalue()
        lines = [json.loads(line) for line in stream.getvalue().splitlines()]
        line: dict[str, Any] = [line for line in lines if line["message"] == "request"][-1]
        return line

    return last


def test_the_cost_of_an_answer_is_logged(two_studies: Client, logged: Callable[[], dict[str, Any]]) -> None:
    """Read units, items examined, requests to the table, what was found: also of nothing."""
    two_studies.get("/studies?PatientID=P-2")
    one = logged()
    assert (one["found"], one["examined"], one["requests"], one["status"]) == (1, 2, 2, 200)
    assert one["read_units"] >= 1
    two_studies.get("/studies?PatientID=nobody")
    none = logged()
    assert (none["found"], none["examined"], none["status"]) == (0, 0, 204)


SEARCHED = [
    *("/studies", "/series", "/instances", f"/studies/{make.STUDY}/series", f"/studies/{make.STUDY}/instances"),
    f"{make.url()}/instances",
]


@pytest.mark.parametrize("path", SEARCHED)
def test_the_cost_of_every_search_is_logged(
    two_studies: Client, logged: Callable[[], dict[str, Any]], path: str
) -> None:
    """All six resources, by their templates."""
    found = len(two_studies.get(path).json())
    line = logged()
    assert (line["found"], line["status"]) == (found, 200)
    assert line["route"] == path.replace(make.STUDY, "{study}").replace(make.SERIES, "{series}")
    assert min(line["examined"], line["requests"], line["read_units"]) >= 1


def test_the_cost_of_a_refusal_is_logged(
    two_studies: Client, logged: Callable[[], dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """413, which is the dearest answer: it read up to the bound and found nothing."""
    monkeypatch.setattr("maypacs.search.MAX_EXAMINED", 1)
    for path in ("/studies?StudyDescription=P-2", "/series?SeriesDescription=P-2"):
        assert two_studies.get(path).status == 413
        line = logged()
        assert (line["status"], line["examined"]) == (413, 1)
        assert min(line["requests"], line["read_units"]) > 0
