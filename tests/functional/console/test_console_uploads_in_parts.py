"""Uploads in parts, as an edge behind a bad line makes them, against S3's own multipart upload (moto)."""

from __future__ import annotations

import hashlib
import os
from typing import Any
from urllib.parse import parse_qsl

import pytest
from tests.functional.console.conftest import Ask
from tests.support.instances import slice_of
from tests.support.moto_cloud import MotoCloud
from tests.support.stub_cloud import data_set_sha256
from tests.support.workspaces import QUICK

from maypacs.access.keys import add_key
from maypacs.access.principals import Role
from maypacs.archive.grants import verify_upload
from maypacs.index.contents import series_contents
from maypacs.ingest import ingest_object
from maypacs.resumable import PART_BYTES
from maypacs.uids import ArchiveId, Uid

UPLOADS = "/api/archives/hosp1/uploads"
#: Three parts, the last one short: an instance that is larger than one part.
BODY = slice_of(pixels=os.urandom(2 * PART_BYTES + 1000))


def wanted(body: bytes = BODY) -> dict[str, Any]:
    return {"length": len(body), "sha256": hashlib.sha256(body).hexdigest(), "content_type": "application/dicom"}


def part(number: int, body: bytes = BODY) -> bytes:
    return body[(number - 1) * PART_BYTES : number * PART_BYTES]


@pytest.fixture
def key(cloud: MotoCloud) -> str:
    return add_key(cloud.runtime.accounts, "hosp1", Role.TECHNICIAN).key


class Parts:
    """One upload: asks for grants and stores parts as the host of a node does for the bearer of a grant."""

    def __init__(self, ask: Ask, cloud: MotoCloud, key: str, body: bytes = BODY) -> None:
        self.ask, self.cloud, self.key, self.body = ask, cloud, key, body
        self.begun = self.begin()
        self.arrival = self.begun["arrival"]

    def begin(self, **more: str) -> dict[str, Any]:
        answer = self.ask("POST", f"{UPLOADS}/in-parts", {**wanted(self.body), **more}, key=self.key)
        assert answer.status == 201, answer.body
        document: dict[str, Any] = answer.json()
        return document

    def put(self, *numbers: int, body: bytes | None = None) -> None:
        asked = [{"number": n, "sha256": hashlib.sha256(part(n, body or self.body)).hexdigest()} for n in numbers]
        answer = self.ask("POST", f"{UPLOADS}/{self.arrival}/parts", {"parts": asked}, key=self.key)
        assert answer.status == 200, answer.body
        secret = bytes.fromhex(self.cloud.runtime.secrets["upload_key"])
        for granted in answer.json()["parts"]:
            path, _, query = granted["url"].partition("?")
            grant = verify_upload(secret, path, dict(parse_qsl(query)), now=granted["expires_at"] - 1)
            data = part(grant.part, body or self.body)
            assert (grant.length, grant.sha256_hex) == (len(data), hashlib.sha256(data).hexdigest())
            where = {"Bucket": "inbox", "Key": grant.key, "UploadId": grant.upload}
            self.cloud.s3.upload_part(**where, PartNumber=grant.part, Body=data)

    def complete(self) -> int:
        return self.ask("POST", f"{UPLOADS}/{self.arrival}/complete", key=self.key).status

    def take_in(self) -> Any:
        workspace = self.cloud.runtime.unscoped_workspace(ArchiveId("hosp1"))
        return ingest_object(workspace, f"hosp1/uploads/{self.arrival}", effects=QUICK)


def test_an_upload_that_broke_off_goes_on_where_it_was(ask: Ask, cloud: MotoCloud, key: str) -> None:
    """What storage holds is not sent again; once complete, ingest takes it in as it was granted."""
    upload = Parts(ask, cloud, key)
    assert upload.begun == {
        "arrival": upload.arrival,
        "part_bytes": PART_BYTES,
        "parts": 3,
        "held": [],
        "complete": False,
    }
    upload.put(2)
    again = upload.begin(arrival=upload.arrival)
    assert (again["arrival"], again["held"]) == (upload.arrival, [2])
    assert upload.complete() == 409
    upload.put(1, 3)
    assert [upload.complete(), upload.complete()] == [200, 200]
    assert cloud.s3.get_object(Bucket="inbox", Key=f"hosp1/uploads/{upload.arrival}")["Body"].read() == BODY
    assert upload.begin(arrival=upload.arrival)["complete"] is True
    assert upload.take_in().counts == {"stored": 1}
    assert upload.begin(arrival=upload.arrival)["complete"] is True
    assert upload.complete() == 200
    status = ask("GET", f"{UPLOADS}/{upload.arrival}", key=key).json()
    assert status["state"] == "indexed"


@pytest.mark.parametrize("in_memory", [True, False], ids=["held in memory", "streamed"])
def test_parts_that_are_not_the_whole_that_was_granted_are_not_taken_in(
    ask: Ask, cloud: MotoCloud, key: str, monkeypatch: pytest.MonkeyPatch, in_memory: bool
) -> None:
    """Each part had its own digest right; the whole has not. Kept in quarantine, and the sender is told why."""
    if not in_memory:
        monkeypatch.setattr("maypacs.ingest.IN_MEMORY", 1000)
    upload = Parts(ask, cloud, key)
    upload.put(1, 3)
    upload.put(2, body=BODY[:PART_BYTES] * 3)
    assert upload.complete() == 200
    upload.take_in()
    status = ask("GET", f"{UPLOADS}/{upload.arrival}", key=key).json()
    assert (status["state"], status["reason"]) == ("quarantined", "damaged-on-the-way")
    kept = [item["Key"] for item in cloud.s3.list_objects_v2(Bucket="archive", Prefix="quarantine/")["Contents"]]
    assert any(upload.arrival in name for name in kept)


def test_an_instance_above_what_one_put_takes_goes_all_the_way(
    ask: Ask, cloud: MotoCloud, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """5 GiB are the limit of one PUT and of one copy, not of what is put and copied in parts; here with smaller ones.

    Taken in and given back to the byte, and known: nobody sends it twice.
    """
    monkeypatch.setattr("maypacs.uploads.MAX_OBJECT_BYTES", len(BODY) - 1)
    monkeypatch.setattr("maypacs.archive.multipart.COPY_PART", 6 * 2**20)
    monkeypatch.setattr("maypacs.ingest.IN_MEMORY", 1000)
    assert ask("POST", UPLOADS, wanted(), key=key).status == 413
    upload = Parts(ask, cloud, key)
    upload.put(1, 2, 3)
    assert upload.complete() == 200
    assert upload.take_in().counts == {"stored": 1}
    workspace = cloud.runtime.unscoped_workspace(ArchiveId("hosp1"))
    study, series = Uid("1.2.3"), Uid("1.2.3.1")
    (ref,) = series_contents(workspace, study, series).instances
    pack = workspace.store.pack_key(study, series, ref.pack_id)
    assert workspace.store.objects.get(pack, offset=ref.offset, length=ref.length) == BODY
    instance = {
        "sop_instance_uid": ref.sop_instance_uid,
        "transfer_syntax_uid": ref.transfer_syntax_uid,
        "sha256": data_set_sha256(BODY),
    }
    asked = {"study_instance_uid": study, "series_instance_uid": series, "instances": [instance]}
    assert ask("POST", f"{UPLOADS}/known", asked, key=key).json()["known"] == [ref.sop_instance_uid]
    assert not cloud.s3.list_multipart_uploads(Bucket="archive").get("Uploads")


def test_more_than_storage_takes_in_parts_is_refused(ask: Ask, key: str) -> None:
    """Before a byte of it goes: S3 has ten thousand parts an upload. The last byte that it takes is still taken."""
    most = {**wanted(), "length": 10_000 * PART_BYTES}
    assert ask("POST", f"{UPLOADS}/in-parts", most, key=key).json()["parts"] == 10_000
    assert ask("POST", f"{UPLOADS}/in-parts", {**most, "length": 10_000 * PART_BYTES + 1}, key=key).status == 413


def test_an_upload_that_storage_has_forgotten_begins_anew(ask: Ask, cloud: MotoCloud, key: str) -> None:
    """Parts that nobody completed are removed by age: the same arrival id, and nothing held."""
    upload = Parts(ask, cloud, key)
    upload.put(1)
    (left,) = cloud.s3.list_multipart_uploads(Bucket="inbox")["Uploads"]
    cloud.s3.abort_multipart_upload(Bucket="inbox", Key=left["Key"], UploadId=left["UploadId"])
    assert upload.complete() == 409
    assert upload.begin(arrival=upload.arrival) == upload.begun
    upload.put(1, 2, 3)
    assert upload.complete() == 200


def test_what_was_put_at_once_meanwhile_stays(ask: Ask, cloud: MotoCloud, key: str) -> None:
    """The first try's object arrived after all: the upload in parts is complete, and its parts are dropped."""
    upload = Parts(ask, cloud, key)
    upload.put(1, 2, 3)
    cloud.s3.put_object(Bucket="inbox", Key=f"hosp1/uploads/{upload.arrival}", Body=BODY)
    assert upload.begin(arrival=upload.arrival)["complete"] is True
    assert upload.complete() == 200


def test_an_upload_in_parts_is_its_principals(ask: Ask, cloud: MotoCloud, key: str) -> None:
    """Nobody else resumes it, gets grants for it or completes it; and there must be one."""
    upload = Parts(ask, cloud, key)
    other = add_key(cloud.runtime.accounts, "hosp1", Role.TECHNICIAN).key
    grants = {"parts": [{"number": 1, "sha256": "0" * 64}]}
    again = {**wanted(), "arrival": upload.arrival}
    assert ask("POST", f"{UPLOADS}/in-parts", again, key=other).status == 404
    assert ask("POST", f"{UPLOADS}/{upload.arrival}/parts", grants, key=other).status == 404
    assert ask("POST", f"{UPLOADS}/{upload.arrival}/complete", key=other).status == 404
    whole = ask("POST", UPLOADS, wanted(), key=key).json()["arrival"]
    assert ask("POST", f"{UPLOADS}/{whole}/parts", grants, key=key).status == 404
    assert ask("POST", f"{UPLOADS}/{whole}/complete", key=key).status == 404
    assert ask("POST", f"{UPLOADS}/in-parts", {**again, "length": 7}, key=key).status == 409


@pytest.mark.parametrize(
    "parts",
    [
        [],
        [{"number": 0, "sha256": "0" * 64}],
        [{"number": 4, "sha256": "0" * 64}],
        [{"number": True, "sha256": "0" * 64}],
        [{"number": 1, "sha256": "0"}],
        [{"number": 1}],
        ["1"],
        [{"number": 1, "sha256": "0" * 64}] * 101,
    ],
)
def test_a_part_that_cannot_be_is_refused(ask: Ask, cloud: MotoCloud, key: str, parts: list[Any]) -> None:
    upload = Parts(ask, cloud, key)
    assert ask("POST", f"{UPLOADS}/{upload.arrival}/parts", {"parts": parts}, key=key).status == 400
