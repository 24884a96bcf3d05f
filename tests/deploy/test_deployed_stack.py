"""The template, put on an emulator as it is on AWS: what a hospital's pictures do there, under the roles it gives.

What an emulator cannot prove is asserted on the templates' text (tests/unit/test_templates.py) and listed in
docs/operations.md.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from samples.phantom import write_ct
from tests.deploy.conftest import ORIGIN, ORIGIN_KEY, Deployed, eventually, send

from maypacs.dicom.header import parse_header
from maypacs.http.multipart import read_multipart
from maypacs.index.dynamodb_table import DynamoDBTable
from maypacs.pack.grammar import Instance, write_pack
from maypacs.uids import ArchiveId

pytestmark = [pytest.mark.deploy, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def slices(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """A CT of twelve slices, 6 MB: more than the gateway carries in one answer."""
    folder = Path(tmp_path_factory.mktemp("ct"))
    write_ct(folder, slices=12)
    return [file.read_bytes() for file in sorted(folder.rglob("*.dcm"))]


def pack_of(files: list[bytes]) -> Any:
    instances = []
    for data in files:
        header = parse_header(data)
        uids = (header.study_instance_uid, header.series_instance_uid, header.sop_instance_uid)
        instances.append(Instance(data, header.transfer_syntax_uid, *uids))
    return write_pack(instances, archive_id=ArchiveId("hosp1"), secret=b"an edge's own boundary")


@pytest.fixture(scope="module")
def study(deployed: Deployed, slices: list[bytes]) -> str:
    """A pack, dropped into the inbox through S3, once it is found by DICOMweb: the study's UID."""
    header = parse_header(slices[0])
    uid = header.study_instance_uid
    s3 = deployed.session.client("s3")
    s3.put_object(Bucket=deployed.data["InboxBucket"], Key="hosp1/copied/ct.pack", Body=pack_of(slices).data)

    def found() -> bool:
        reply = deployed.ask("GET", f"/dicomweb/hosp1/studies?StudyInstanceUID={uid}&includefield=00201208")
        assert reply.status in {200, 204}, reply.body
        return reply.status == 200 and reply.json()[0]["00201208"]["Value"] == [12]

    eventually(found)
    return uid


def test_a_pack_dropped_into_the_inbox_is_read_back_by_dicomweb(
    deployed: Deployed, slices: list[bytes], study: str
) -> None:
    """S3 event, queue, ingest, index, API Gateway: every instance byte for byte, and its metadata."""
    metadata = deployed.ask(
        "GET", f"/dicomweb/hosp1/studies/{study}/metadata", headers={"Accept": "application/dicom+json"}
    )
    assert metadata.status == 200
    assert {m["00080018"]["Value"][0] for m in metadata.json()} == {parse_header(d).sop_instance_uid for d in slices}
    for data in slices[:3]:
        header = parse_header(data)
        path = (
            f"/dicomweb/hosp1/studies/{study}/series/{header.series_instance_uid}/instances/{header.sop_instance_uid}"
        )
        reply = deployed.ask(
            "GET", path, headers={"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
        )
        assert reply.status == 200
        (part,) = read_multipart(reply.body, reply.headers.get_param("boundary"))
        assert bytes(part.content) == data
    assert not deployed.session.client("s3").list_objects_v2(Bucket=deployed.data["InboxBucket"]).get("Contents")


def test_an_answer_above_the_gateways_limit_is_a_redirect_that_cloudfront_would_take(
    deployed: Deployed, slices: list[bytes], study: str
) -> None:
    """A path on our own origin, signed for it with the key pair's RSA key; the object behind it is the answer."""
    series = parse_header(slices[0]).series_instance_uid
    reply = deployed.ask(
        "GET",
        f"/dicomweb/hosp1/studies/{study}/series/{series}",
        headers={"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'},
    )
    assert reply.status == 307
    assert len(reply.body) < 1000
    location = urlsplit(reply.headers["Location"])
    assert (location.scheme, location.netloc) == ("", "")
    assert location.path.startswith("/blobs/")
    query = {name: values[0] for name, values in parse_qs(location.query).items()}
    resource = f"{ORIGIN}{location.path}"
    policy = (
        f'{{"Statement":[{{"Resource":"{resource}","Condition":'
        f'{{"DateLessThan":{{"AWS:EpochTime":{query["Expires"]}}}}}}}]}}'
    )
    signature = base64.b64decode(query["Signature"].replace("-", "+").replace("_", "=").replace("~", "/"))
    # CloudFront's canned policy is signed with SHA-1, as it demands.
    deployed.blob_public_key.verify(signature, policy.encode(), padding.PKCS1v15(), hashes.SHA1())
    assert query["Key-Pair-Id"] == "KTEST"
    blob = deployed.session.client("s3").get_object(Bucket=deployed.data["ArchiveBucket"], Key=location.path[1:])
    parts = read_multipart(blob["Body"].read(), blob["ContentType"].partition("boundary=")[2].strip('"'))
    assert sorted(bytes(part.content) for part in parts) == sorted(slices)


def test_a_thumbnail_is_made_by_the_event_of_the_sidecar(deployed: Deployed, study: str) -> None:
    """Nobody asked for it."""
    s3 = deployed.session.client("s3")
    prefix = f"blobs/thumbs/hosp1/{study}/"
    listed = eventually(
        lambda: s3.list_objects_v2(Bucket=deployed.data["ArchiveBucket"], Prefix=prefix).get("Contents"), seconds=150
    )
    body = s3.get_object(Bucket=deployed.data["ArchiveBucket"], Key=listed[0]["Key"])["Body"].read()
    assert body.startswith(b"\xff\xd8\xff")


def test_stow_search_render_and_delete_work_through_the_gateway(deployed: Deployed, slices: list[bytes]) -> None:
    """Bodies in and out are binary; the roles allow what each of them does."""
    import pydicom
    from samples.phantom import stable_uid

    dataset = pydicom.dcmread(io.BytesIO(slices[0]))
    dataset.StudyInstanceUID = stable_uid("deploy test", "stow")
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    body = b"--B\r\nContent-Type: application/dicom\r\n\r\n" + buffer.getvalue() + b"\r\n--B--\r\n"
    headers = {
        "Content-Type": 'multipart/related; type="application/dicom"; boundary=B',
        "Accept": "application/dicom+json",
    }
    stored = deployed.ask("POST", "/dicomweb/hosp1/studies", headers=headers, body=body)
    assert stored.status == 200, stored.body
    study = str(dataset.StudyInstanceUID)
    path = f"/dicomweb/hosp1/studies/{study}"
    assert deployed.ask("GET", f"{path}/series").json()[0]["0020000D"]["Value"] == [study]
    instance = f"{path}/series/{dataset.SeriesInstanceUID}/instances/{dataset.SOPInstanceUID}"
    rendered = deployed.ask("GET", f"{instance}/rendered", headers={"Accept": "image/jpeg"})
    assert (rendered.status, rendered.body[:3]) == (200, b"\xff\xd8\xff")
    frame = deployed.ask(
        "GET",
        f"{instance}/frames/1",
        headers={"Accept": 'multipart/related; type="application/octet-stream"; transfer-syntax=*'},
    )
    assert (frame.status, dataset.PixelData in frame.body) == (200, True)
    assert deployed.ask("DELETE", path).status in {200, 204}
    assert deployed.ask("GET", f"{path}/series").status in {204, 404, 410}


def test_a_person_erases_a_study_and_the_eraser_leaves_no_version_of_it(
    deployed: Deployed, slices: list[bytes]
) -> None:
    """The key of a program may not; the function that alone may delete versions does, under its role."""
    import pydicom
    from samples.phantom import stable_uid

    dataset = pydicom.dcmread(io.BytesIO(slices[0]))
    study = dataset.StudyInstanceUID = stable_uid("deploy test", "erased")
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    headers = {"Content-Type": "application/dicom", "Accept": "application/dicom+json"}
    stored = deployed.ask("POST", "/dicomweb/hosp1/studies", headers=headers, body=buffer.getvalue())
    assert stored.status == 200, stored.body
    path = f"/dicomweb/hosp1/studies/{study}"
    asked = json.dumps({"reason": "yêu cầu", "confirm": str(study)}).encode()
    assert deployed.ask("POST", f"{path}/erase", body=asked).status == 403
    user = {"user": "thu", "role": "admin", "password": "mật khẩu thử nghiệm"}
    assert deployed.ask("POST", "/api/archives/hosp1/users", document=user).status == 201
    token = deployed.ask("POST", "/api/login", document=user, headers={"Authorization": ""}).json()["access_token"]
    assert deployed.ask("POST", f"{path}/erase", body=asked, key=token).status == 202
    assert deployed.ask("GET", path).status == 410
    s3 = deployed.session.client("s3")

    def left() -> list[str]:
        answer = s3.list_object_versions(Bucket=deployed.data["ArchiveBucket"])
        listed = [*answer.get("Versions", []), *answer.get("DeleteMarkers", [])]
        return [v["Key"] for v in listed if f"/{study}/" in v["Key"] and not v["Key"].startswith("decisions/")]

    assert left()
    answer = deployed.session.client("lambda").invoke(FunctionName=deployed.functions["Eraser"], Payload=b"{}")
    report = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, report
    assert (report["erasing"], report["failed"]) == (1, 0)
    assert left() == []
    waits = deployed.ask("GET", "/dicomweb/hosp1/erasures").json()["erasures"][0]
    assert (waits["study"], waits["waits"]) == (str(study), "settling")


def test_an_edge_enrols_uploads_by_its_grant_and_learns_that_it_is_indexed(
    deployed: Deployed, slices: list[bytes]
) -> None:
    """The presigned PUT carries length, checksum and type; the status comes from ingest's receipt."""
    code = deployed.ask("POST", "/api/archives/hosp1/enrolment-codes", document={"name": "CT"}).json()["code"]
    edge = deployed.ask("POST", "/api/edges/enrol", document={"code": code}, headers={"Authorization": ""}).json()[
        "key"
    ]
    pack = pack_of(slices[:2])
    asked = {
        "length": len(pack.data),
        "sha256": hashlib.sha256(pack.data).hexdigest(),
        "content_type": pack.content_type,
    }
    grant = deployed.ask("POST", "/api/archives/hosp1/uploads", document=asked, key=edge)
    assert grant.status == 201, grant.body
    document = grant.json()
    put = send(document["method"], document["url"], headers=document["headers"], body=pack.data)
    assert put.status == 200, put.body

    def receipt() -> Any:
        status = deployed.ask("GET", f"/api/archives/hosp1/uploads/{document['arrival']}", key=edge).json()
        return status if status["state"] != "pending" else None

    done = eventually(receipt)
    assert (done["state"], done["instances"]) == ("indexed", 2)


def test_a_zip_goes_the_way_of_large_objects_and_a_broken_file_to_quarantine(
    deployed: Deployed, slices: list[bytes]
) -> None:
    """The zip is handed over to the queue of its own; what cannot be read is kept with its reason."""
    import pydicom
    from samples.phantom import stable_uid

    dataset = pydicom.dcmread(io.BytesIO(slices[1]))
    dataset.StudyInstanceUID = stable_uid("deploy test", "zip")
    buffer, zipped = io.BytesIO(), io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    with zipfile.ZipFile(zipped, "w") as archive:
        archive.writestr("CT/1.dcm", buffer.getvalue())
        archive.writestr("CT/readme.dcm", b"not DICOM at all" * 20)
    s3 = deployed.session.client("s3")
    s3.put_object(Bucket=deployed.data["InboxBucket"], Key="hosp1/import/ct.zip", Body=zipped.getvalue())
    uid = str(dataset.StudyInstanceUID)
    eventually(lambda: deployed.ask("GET", f"/dicomweb/hosp1/studies?StudyInstanceUID={uid}").status == 200)

    def reason() -> Any:
        listed = s3.list_objects_v2(Bucket=deployed.data["ArchiveBucket"], Prefix="quarantine/hosp1/").get(
            "Contents", []
        )
        keys = [entry["Key"] for entry in listed if entry["Key"].endswith(".reason.json")]
        return s3.get_object(Bucket=deployed.data["ArchiveBucket"], Key=keys[0])["Body"].read() if keys else None

    assert "reason" in json.loads(eventually(reason))


def test_the_housekeeper_may_do_what_it_does(deployed: Deployed) -> None:
    """It lists both buckets under its role and reports; nothing of this test is old enough to be swept."""
    answer = deployed.session.client("lambda").invoke(FunctionName=deployed.functions["Housekeeper"], Payload=b"{}")
    report = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, report
    assert report["failed"] == 0


def test_the_compactor_makes_one_pack_of_many_under_its_role(deployed: Deployed, slices: list[bytes]) -> None:
    """Ten images that came one by one, days ago; later, what was replaced goes."""
    import pydicom
    from samples.phantom import stable_uid

    dataset = pydicom.dcmread(io.BytesIO(slices[0]))
    study, series = (stable_uid("deploy test", f"compacted {level}") for level in ("study", "series"))
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = study, series
    headers = {"Content-Type": "application/dicom", "Accept": "application/dicom+json"}
    for number in range(1, 11):
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = stable_uid("deploy test", number)
        dataset.InstanceNumber = number
        buffer = io.BytesIO()
        dataset.save_as(buffer, enforce_file_format=True)
        stored = deployed.ask("POST", "/dicomweb/hosp1/studies", headers=headers, body=buffer.getvalue())
        assert stored.status == 200, stored.body
    table = DynamoDBTable(deployed.data["IndexTable"], client=deployed.session.client("dynamodb"))
    s3 = deployed.session.client("s3")

    def days_later() -> dict[str, int]:
        """The clock of the rows is set back; the schedule calls."""
        table.update("hosp1#C", f"{study}#{series}", set={"due": 0, "clean": 1})
        table.update(f"hosp1#S#{study}", f"1#{series}", set={"revision": 1})
        answer = deployed.session.client("lambda").invoke(FunctionName=deployed.functions["Compactor"], Payload=b"{}")
        report: dict[str, int] = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, report
        return report

    def packs() -> int:
        listed = s3.list_objects_v2(Bucket=deployed.data["ArchiveBucket"], Prefix=f"blobs/packs/hosp1/{study}/")
        return int(listed["KeyCount"])

    before = deployed.ask("GET", f"/dicomweb/hosp1/studies/{study}/metadata").json()
    assert (len(before), packs()) == (10, 10)
    report = days_later()
    assert (report["series"], report["packs"], report["into"], report["failed"]) == (1, 10, 1, 0)
    assert packs() == 11
    assert (days_later()["cleaned"], packs()) == (10, 1)
    assert deployed.ask("GET", f"/dicomweb/hosp1/studies/{study}/metadata").json() == before


def test_the_api_is_shut_to_those_who_do_not_come_through_the_front_door(deployed: Deployed) -> None:
    """Without CloudFront's key a right credential is not even looked at; without a credential the key is nothing."""
    credential = {"Authorization": f"Bearer {deployed.key}"}
    assert send("GET", f"{deployed.base}/api/me", headers=credential).status == 403
    assert send("GET", f"{deployed.base}/api/me", headers={**credential, "x-api-key": "a" * 30}).status == 403
    assert send("GET", f"{deployed.base}/api/me", headers={"x-api-key": ORIGIN_KEY}).status == 401
    assert send("GET", f"{deployed.base}/api/me", headers={**credential, "x-api-key": ORIGIN_KEY}).status == 200


def test_a_role_reaches_nothing_that_is_not_its_own(deployed: Deployed, study: str) -> None:
    """Seen from inside: the console's role opens no object of the archive, and the housekeeper reads no index."""
    roles = deployed.session.client("cloudformation").describe_stack_resources(StackName="maypacs")["StackResources"]
    names = {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in roles if r["ResourceType"] == "AWS::IAM::Role"}
    sts = deployed.session.client("sts")

    def client(role: str, service: str) -> Any:
        import boto3

        arn = f"arn:aws:iam::000000000000:role/{names[role]}"
        given = sts.assume_role(RoleArn=arn, RoleSessionName="test")["Credentials"]
        return boto3.client(
            service,
            region_name=deployed.session.region_name,
            endpoint_url=deployed.session.client("s3").meta.endpoint_url,
            aws_access_key_id=given["AccessKeyId"],
            aws_secret_access_key=given["SecretAccessKey"],
            aws_session_token=given["SessionToken"],
        )

    archive = deployed.data["ArchiveBucket"]
    (pack, *_) = deployed.session.client("s3").list_objects_v2(Bucket=archive, Prefix=f"blobs/packs/hosp1/{study}/")[
        "Contents"
    ]
    with pytest.raises(ClientError, match="AccessDenied"):
        client("ConsoleRole", "s3").get_object(Bucket=archive, Key=pack["Key"])
    assert client("DicomwebRole", "s3").head_object(Bucket=archive, Key=pack["Key"])["ContentLength"] == pack["Size"]
    with pytest.raises(ClientError, match="AccessDenied"):
        client("DicomwebRole", "s3").put_object(Bucket=archive, Key="quarantine/hosp1/x", Body=b"x")
    with pytest.raises(ClientError, match="AccessDenied"):
        client("HousekeeperRole", "dynamodb").get_item(
            TableName=deployed.data["IndexTable"], Key={"pk": {"S": "hosp1#S#1"}, "sk": {"S": "0"}}
        )


def test_an_edge_uploads_in_parts_and_is_told_what_it_need_not_send(deployed: Deployed, slices: list[bytes]) -> None:
    """Under the console's own role: begun, a part by its presigned URL, listed, completed; then everything is known."""
    uploads = "/api/archives/hosp1/uploads"
    pack = pack_of(slices[:2])
    asked = {
        "length": len(pack.data),
        "sha256": hashlib.sha256(pack.data).hexdigest(),
        "content_type": pack.content_type,
    }
    begun = deployed.ask("POST", f"{uploads}/in-parts", document=asked)
    assert begun.status == 201, begun.body
    arrival = begun.json()["arrival"]
    assert deployed.ask("POST", f"{uploads}/{arrival}/complete").status == 409
    wanted = {"parts": [{"number": 1, "sha256": asked["sha256"]}]}
    (grant,) = deployed.ask("POST", f"{uploads}/{arrival}/parts", document=wanted).json()["parts"]
    put = send(grant["method"], grant["url"], headers=grant["headers"], body=pack.data)
    assert put.status == 200, put.body
    again = deployed.ask("POST", f"{uploads}/in-parts", document={**asked, "arrival": arrival}).json()
    assert (again["held"], again["complete"]) == ([1], False)
    completed = deployed.ask("POST", f"{uploads}/{arrival}/complete")
    assert completed.status == 200, completed.body
    eventually(lambda: deployed.ask("GET", f"{uploads}/{arrival}").json()["state"] == "indexed" or None)
    headers = [parse_header(data) for data in slices[:2]]
    question = {
        "study_instance_uid": headers[0].study_instance_uid,
        "series_instance_uid": headers[0].series_instance_uid,
        "instances": [
            {
                "sop_instance_uid": header.sop_instance_uid,
                "transfer_syntax_uid": header.transfer_syntax_uid,
                "sha256": hashlib.sha256(data[header.dataset_offset :]).hexdigest(),
            }
            for header, data in zip(headers, slices[:2], strict=True)
        ],
    }
    known = deployed.ask("POST", f"{uploads}/known", document=question)
    assert known.json() == {
        "known": [header.sop_instance_uid for header in headers],
        "known_at": [0, 1],
        "others": [],
    }
