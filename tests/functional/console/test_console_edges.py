"""An edge's life through the console: enrolment, grants, statuses."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from tests.functional.console.conftest import Ask
from tests.support.instances import slice_of
from tests.support.moto_cloud import MotoCloud

from maypacs.access.keys import add_key
from maypacs.access.principals import Role
from maypacs.archive.grants import verify_upload
from maypacs.arrivals import new_arrival
from maypacs.dicom.header import parse_header
from maypacs.index.rows import receipt_pk
from maypacs.ingest import store_instances
from maypacs.receipts import Outcome, Receipt, failure
from maypacs.uids import ArchiveId

BODY = b"what an edge uploads"
UPLOAD = {"length": len(BODY), "sha256": hashlib.sha256(BODY).hexdigest(), "content_type": "application/dicom"}
HOSP1 = ArchiveId("hosp1")


@pytest.fixture
def edge(ask: Ask, admin: str) -> str:
    code = ask("POST", "/api/archives/hosp1/enrolment-codes", {"name": "CT room"}, key=admin).json()["code"]
    enrolled = ask("POST", "/api/edges/enrol", {"code": code, "version": "0.1.0"})
    assert enrolled.status == 201
    key: str = enrolled.json()["key"]
    return key


def test_an_edge_enrols_with_a_code_that_works_once(ask: Ask, admin: str) -> None:
    """It learns its archive and what an upload may be."""
    code = ask("POST", "/api/archives/hosp1/enrolment-codes", {"name": "CT room"}, key=admin).json()["code"]
    enrolled = ask("POST", "/api/edges/enrol", {"code": code, "version": "0.1.0"}).json()
    assert (enrolled["archive"], enrolled["archive_name"]) == ("hosp1", "Bệnh viện Một")
    assert enrolled["limits"] == {
        "pack_bytes": 64 * 2**20,
        "pack_instances": 1000,
        "own_pack_above": 4_400_000,
        "object_bytes": 5 * 2**30,
        "object_bytes_in_parts": 10_000 * 8 * 2**20,
        "grant_seconds": 900,
    }
    assert ask("POST", "/api/edges/enrol", {"code": code}).status == 401
    listed = ask("GET", "/api/archives/hosp1/edges", key=admin).json()["edges"]
    assert [(e["edge"], e["name"], e["version"]) for e in listed] == [(enrolled["edge"], "CT room", "0.1.0")]
    assert ask("GET", "/api/me", key=enrolled["key"]).json()["kind"] == "edge"
    records = ask("GET", "/api/archives/hosp1/audit", key=admin).json()["records"]
    assert [r["principal"] for r in records if r["detail"] == "edge enrolled"] == [f"edge:{enrolled['edge']}"]
    assert ask("DELETE", f"/api/archives/hosp1/edges/{enrolled['edge']}", key=admin).status == 204
    assert ask("GET", "/api/me", key=enrolled["key"]).status == 401


def test_an_edge_manages_nothing(ask: Ask, edge: str) -> None:
    """It stores and reads, no more."""
    assert ask("POST", "/api/archives/hosp1/keys", {"name": "x", "role": "viewer"}, key=edge).status == 403
    assert ask("POST", "/api/archives/hosp1/enrolment-codes", {}, key=edge).status == 403


def test_guesses_of_codes_are_counted_by_address(ask: Ask) -> None:
    """A hundred bits need no help, but the table does not answer guesses for ever."""
    statuses = [ask("POST", "/api/edges/enrol", {"code": f"{n}"}, source_ip="203.0.113.5").status for n in range(53)]
    assert statuses[0] == 401
    assert statuses[-1] == 429
    assert ask("POST", "/api/edges/enrol", {"code": "1"}, source_ip="203.0.113.6").status == 401


def test_a_grant_names_one_key_length_digest_and_type(ask: Ask, cloud: MotoCloud, edge: str) -> None:
    """The arrival id is ours and part of the key; a retry gets the same key and a fresh URL."""
    granted = ask("POST", "/api/archives/hosp1/uploads", UPLOAD, key=edge)
    assert granted.status == 201
    document = granted.json()
    path, _, query = document["url"].partition("?")
    from urllib.parse import parse_qsl

    secret = bytes.fromhex(cloud.runtime.secrets["upload_key"])
    allowed = verify_upload(secret, path, dict(parse_qsl(query)), now=document["expires_at"] - 1)
    assert allowed.key == f"hosp1/uploads/{document['arrival']}"
    assert (allowed.length, allowed.sha256_hex) == (UPLOAD["length"], UPLOAD["sha256"])
    again = ask("POST", "/api/archives/hosp1/uploads", {**UPLOAD, "arrival": document["arrival"]}, key=edge).json()
    assert again["arrival"] == document["arrival"]
    other = ask("POST", "/api/archives/hosp1/uploads", UPLOAD, key=edge).json()
    assert other["arrival"] != document["arrival"]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"length": 0}, 400),
        ({"length": "20"}, 400),
        ({"length": True}, 400),
        ({"length": 5 * 2**30 + 1}, 413),
        ({"sha256": "x"}, 400),
        ({"sha256": UPLOAD["sha256"].upper()}, 400),  # type: ignore[attr-defined]
        ({"content_type": "text/html"}, 400),
        ({"content_type": "application/dicom\r\nX-Evil: 1"}, 400),
        ({"arrival": "not-a-ulid"}, 400),
        ({"arrival": "01J00000000000000000000000"}, 404),
    ],
)
def test_a_grant_that_makes_no_sense_is_refused(ask: Ask, edge: str, change: dict[str, Any], status: int) -> None:
    """And says which member is wrong."""
    assert ask("POST", "/api/archives/hosp1/uploads", {**UPLOAD, **change}, key=edge).status == status


def test_an_arrival_is_its_principals_and_of_its_bytes(ask: Ask, cloud: MotoCloud, edge: str) -> None:
    """Nobody else of the archive reuses it, and it is not reused for other bytes."""
    arrival = ask("POST", "/api/archives/hosp1/uploads", UPLOAD, key=edge).json()["arrival"]
    other = add_key(cloud.runtime.accounts, "hosp1", Role.TECHNICIAN).key
    assert ask("POST", "/api/archives/hosp1/uploads", {**UPLOAD, "arrival": arrival}, key=other).status == 404
    changed = {**UPLOAD, "length": 7, "arrival": arrival}
    assert ask("POST", "/api/archives/hosp1/uploads", changed, key=edge).status == 409


def test_a_status_goes_from_granted_to_uploaded_to_indexed(ask: Ask, cloud: MotoCloud, edge: str) -> None:
    """As the inbox and ingest's receipt say, one at a time and many at once."""
    arrival = ask("POST", "/api/archives/hosp1/uploads", UPLOAD, key=edge).json()["arrival"]
    path = f"/api/archives/hosp1/uploads/{arrival}"
    assert (ask("GET", path, key=edge).json()["state"], ask("GET", path, key=edge).json()["in_inbox"]) == (
        "pending",
        False,
    )
    cloud.s3.put_object(Bucket="inbox", Key=f"hosp1/uploads/{arrival}", Body=BODY)
    assert ask("GET", path, key=edge).json()["in_inbox"] is True
    outcomes = [
        Outcome("1.2", "1.2.3.1", "1.2.3", "1.2.3.0", "stored"),
        Outcome("1.2", "1.2.3.2", "1.2.3", "1.2.3.0", "conflict"),
        failure("unreadable", "3"),
    ]
    cloud.runtime.index.put(Receipt.of(arrival, outcomes).to_item(HOSP1))
    done = ask("GET", path, key=edge).json()
    assert (done["state"], done["instances"], done["reason"]) == ("partial", 3, "unreadable")
    assert done["conflicts"] == [{"sop_instance_uid": "1.2.3.2", "reason": "differs-from-current"}]
    assert done["failures"] == [{"sop_instance_uid": None, "reason": "unreadable", "part": "3"}]
    unknown = "01J00000000000000000000000"
    many = ask("POST", "/api/archives/hosp1/uploads/status", {"arrivals": [unknown, arrival]}, key=edge).json()
    assert [u["state"] for u in many["uploads"]] == ["unknown", "partial"]
    assert ask("GET", f"/api/archives/hosp1/uploads/{unknown}", key=edge).status == 404


def test_statuses_are_asked_for_by_the_hundred(ask: Ask, edge: str) -> None:
    """Not by the thousand."""
    arrivals = ["01J00000000000000000000000"] * 101
    assert ask("POST", "/api/archives/hosp1/uploads/status", {"arrivals": arrivals}, key=edge).status == 400


def test_an_upload_of_another_archive_is_unknown_here(ask: Ask, cloud: MotoCloud, edge: str) -> None:
    """Even by its right arrival id."""
    other = add_key(cloud.runtime.accounts, "hosp10", Role.TECHNICIAN).key
    arrival = ask("POST", "/api/archives/hosp10/uploads", UPLOAD, key=other).json()["arrival"]
    cloud.runtime.index.put({**Receipt.of(arrival, [failure("unreadable")]).to_item(ArchiveId("hosp10"))})
    assert cloud.runtime.index.get(receipt_pk(ArchiveId("hosp10"), arrival), "0") is not None
    assert ask("GET", f"/api/archives/hosp1/uploads/{arrival}", key=edge).status == 404


def test_boundaries_are_stable_and_secret_to_the_archive(ask: Ask, cloud: MotoCloud, edge: str) -> None:
    """The same for the same study, another for another study or archive."""
    asked = {"study_instance_uids": ["1.2.3", "1.2.4"]}
    first = ask("POST", "/api/archives/hosp1/boundaries", asked, key=edge).json()["boundaries"]
    assert first == ask("POST", "/api/archives/hosp1/boundaries", asked, key=edge).json()["boundaries"]
    other = add_key(cloud.runtime.accounts, "hosp10", Role.TECHNICIAN).key
    elsewhere = ask("POST", "/api/archives/hosp10/boundaries", asked, key=other).json()["boundaries"]
    assert len({*first.values(), *elsewhere.values()}) == 4
    assert json.dumps(first).isascii()
    bad = {"study_instance_uids": ["../x"]}
    assert ask("POST", "/api/archives/hosp1/boundaries", bad, key=edge).status == 400


def test_an_edge_learns_what_it_need_not_send(ask: Ask, cloud: MotoCloud, edge: str) -> None:
    """By series; the answer names the instances that the archive has with these bytes."""
    data = slice_of()
    header = parse_header(data)
    workspace = cloud.runtime.unscoped_workspace(HOSP1)
    arrival = new_arrival()
    (outcome,) = store_instances(workspace, arrival, [data])
    assert outcome.result == "stored"
    one = {
        "sop_instance_uid": header.sop_instance_uid,
        "transfer_syntax_uid": header.transfer_syntax_uid,
        "sha256": hashlib.sha256(data[header.dataset_offset :]).hexdigest(),
    }
    other = {**one, "sop_instance_uid": "1.2.3.1.2"}
    series = {"study_instance_uid": "1.2.3", "series_instance_uid": "1.2.3.1"}
    path = "/api/archives/hosp1/uploads/known"
    answer = ask("POST", path, {**series, "instances": [other, one]}, key=edge)
    assert (answer.status, answer.json()) == (200, {"known": [one["sop_instance_uid"]], "known_at": [1], "others": []})
    answer = ask("POST", path, {**series, "instances": [{**one, "sha256": "0" * 64}]}, key=edge)
    there = [{"sop_instance_uid": "1.2.3.1.1", "arrival": arrival}]
    assert answer.json() == {"known": [], "known_at": [], "others": there}
    # The same instance in several versions, of which any will do: which of them is there.
    compressed = {**one, "transfer_syntax_uid": "1.2.840.10008.1.2.4.80", "sha256": "0" * 64}
    for versions, at in (([compressed, one], [1]), ([one, other, compressed], [0])):
        answer = ask("POST", path, {**series, "instances": versions}, key=edge)
        assert answer.json() == {"known": [one["sop_instance_uid"]], "known_at": at, "others": []}
    answer = ask("POST", path, {**series, "instances": [compressed, {**one, "sha256": "0" * 64}]}, key=edge)
    assert answer.json() == {"known": [], "known_at": [], "others": there}
    for wrong in (
        {**series, "instances": []},
        {**series, "instances": [one] * 1001},
        {**series, "instances": [{**one, "sha256": "x"}]},
        {**series, "instances": [{"sop_instance_uid": "1.2"}]},
        {**series, "instances": ["1.2"]},
        {**series, "series_instance_uid": "..", "instances": [one]},
        {"instances": [one]},
    ):
        assert ask("POST", path, wrong, key=edge).status == 400
    viewer = add_key(cloud.runtime.accounts, "hosp1", Role.VIEWER).key
    assert ask("POST", path, {**series, "instances": [one]}, key=viewer).status == 403
    # Whoever asks for leave to upload may name what is in the body.
    for route in ("uploads", "uploads/in-parts"):
        path = f"/api/archives/hosp1/{route}"
        answer = ask("POST", path, {**UPLOAD, **series, "instances": [other, one]}, key=edge)
        assert answer.json() == {"known": [one["sop_instance_uid"]], "known_at": [1]}
        answer = ask("POST", path, {**UPLOAD, **series, "instances": [one, compressed]}, key=edge)
        assert answer.json() == {"known": [one["sop_instance_uid"]], "known_at": [0]}
        assert ask("POST", path, {**UPLOAD, **series, "instances": ["1.2"]}, key=edge).status == 400
        differs = ask("POST", path, {**UPLOAD, **series, "instances": [other, {**one, "sha256": "0" * 64}]}, key=edge)
        assert (differs.status, "arrival" in differs.json(), "known" in differs.json()) == (201, True, False)
