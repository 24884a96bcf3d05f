"""The functions ingest, thumbnails and housekeeper, called as Lambda calls them, on moto."""

from __future__ import annotations

import io
import json
import time
import zipfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import quote_plus

import boto3
import pytest
from tests.support.functions import Context, load_function
from tests.support.instances import slice_of
from tests.support.moto_cloud import MotoCloud, moto_cloud

from maypacs import arrivals, deliveries, housekeeping
from maypacs.access import accounts
from maypacs.errors import NotFoundError
from maypacs.index import contents
from maypacs.index.cascade import Effects
from maypacs.ingest import ingest_object
from maypacs.receipts import read_receipt
from maypacs.uids import ArchiveId, Uid

HOSP = ArchiveId("hosp1")
STUDY, SERIES = Uid("1.2.3"), Uid("1.2.3.1")


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MotoCloud]:
    with moto_cloud(tmp_path, monkeypatch) as found:
        accounts.add_archive(found.runtime.accounts, HOSP, name="Bệnh viện Thử")
        yield found


@pytest.fixture
def ingest(cloud: MotoCloud) -> ModuleType:
    return load_function("ingest")


def message(*created: tuple[str, str, int], receives: int = 1, identity: str = "m1") -> dict[str, Any]:
    """One SQS message of an S3 event about (bucket, key, size)."""
    records = [
        {
            "eventVersion": "2.1",
            "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": bucket}, "object": {"key": quote_plus(key), "size": size}},
        }
        for bucket, key, size in created
    ]
    return {
        "messageId": identity,
        "receiptHandle": "r",
        "body": json.dumps({"Records": records}),
        "attributes": {"ApproximateReceiveCount": str(receives)},
        "messageAttributes": {},
        "eventSource": "aws:sqs",
        "eventSourceARN": "arn:aws:sqs:eu-central-1:000000000000:ingest",
        "awsRegion": "eu-central-1",
    }


def call(module: ModuleType, *messages: dict[str, Any]) -> list[str]:
    """The ids of the messages that failed."""
    answer = module.handler({"Records": list(messages)}, Context())
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


def keys(cloud: MotoCloud, bucket: str, prefix: str = "") -> list[str]:
    answer = cloud.s3.list_objects_v2(Bucket=bucket, Prefix=prefix)
    return [entry["Key"] for entry in answer.get("Contents", ())]


def test_an_upload_is_taken_in_indexed_and_receipted(cloud: MotoCloud, ingest: ModuleType) -> None:
    """The object goes, the study is there, the receipt says so."""
    arrival = arrivals.new_arrival()
    body = slice_of()
    cloud.s3.put_object(Bucket="inbox", Key=f"hosp1/uploads/{arrival}", Body=body)
    assert call(ingest, message(("inbox", f"hosp1/uploads/{arrival}", len(body)))) == []
    assert keys(cloud, "inbox") == []
    workspace = cloud.runtime.unscoped_workspace(HOSP)
    held = contents.series_contents(workspace, STUDY, SERIES)
    assert held.summary.number_of_instances == 1
    receipt = read_receipt(cloud.runtime.index, HOSP, arrival)
    assert receipt is not None
    assert (receipt.state, receipt.counts, receipt.studies) == ("indexed", {"stored": 1}, (STUDY,))


def test_a_folder_copied_into_the_bucket_is_an_import(cloud: MotoCloud, ingest: ModuleType) -> None:
    """Keys with spaces and letters beyond ASCII; the same file again, under another name, stores nothing."""
    names = ["hosp1/CD của bệnh viện/IM 1.dcm", "hosp1/CD của bệnh viện/IM+2.dcm", "hosp1/again/copy of IM 1"]
    for name, number in zip(names, (1, 2, 1), strict=True):
        cloud.s3.put_object(Bucket="inbox", Key=name, Body=slice_of(number=number))
    assert call(ingest, message(*(("inbox", name, 100) for name in names))) == []
    assert keys(cloud, "inbox") == []
    workspace = cloud.runtime.unscoped_workspace(HOSP)
    assert contents.series_contents(workspace, STUDY, SERIES).summary.number_of_instances == 2


def test_an_object_for_an_archive_that_nobody_opened_is_quarantined_and_begins_none(
    cloud: MotoCloud, ingest: ModuleType
) -> None:
    """Whoever may write to the inbox is not who opens archives. Once it is open, the object can be given again."""
    arrival = arrivals.new_arrival()
    key, body = f"hosp2/uploads/{arrival}", slice_of()
    for _ in range(2):
        cloud.s3.put_object(Bucket="inbox", Key=key, Body=body)
        assert call(ingest, message(("inbox", key, len(body)))) == []
        assert keys(cloud, "inbox") == []
    assert keys(cloud, "archive") == [f"quarantine/hosp2/{arrival}", f"quarantine/hosp2/{arrival}.reason.json"]
    assert call(ingest, message(("inbox", key, len(body)))) == [], "a message about what is gone"
    strange = cloud.runtime.unscoped_workspace(ArchiveId("hosp2"))
    with pytest.raises(NotFoundError):
        contents.study_contents(strange, STUDY)
    assert read_receipt(cloud.runtime.index, ArchiveId("hosp2"), arrival) is None
    accounts.add_archive(cloud.runtime.accounts, "hosp2", name="Phòng khám Mẫu")
    cloud.s3.put_object(Bucket="inbox", Key=key, Body=body)
    assert call(ingest, message(("inbox", key, len(body)))) == []
    assert contents.study_contents(strange, STUDY).summary.number_of_instances == 1


def test_one_message_that_fails_does_not_take_the_others_with_it(cloud: MotoCloud, ingest: ModuleType) -> None:
    """Partial batch failure: the bucket of one message does not answer."""
    body = slice_of()
    cloud.s3.put_object(Bucket="inbox", Key="hosp1/a.dcm", Body=body)
    broken = message(("inbox", "hosp1/b.dcm", 1), identity="bad")
    broken["body"] = "{"
    assert call(ingest, broken, message(("inbox", "hosp1/a.dcm", len(body)), identity="good")) == ["bad"]
    assert keys(cloud, "inbox") == []


def test_a_message_about_an_object_that_is_gone_is_a_success(ingest: ModuleType) -> None:
    """It was done before; S3's test event is nothing; what lies below no archive is left alone."""
    assert call(ingest, message(("inbox", "hosp1/gone.dcm", 10))) == []
    test_event = message()
    test_event["body"] = json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent"})
    assert call(ingest, test_event) == []
    assert call(ingest, message(("inbox", "stray.dcm", 10))) == []


def test_a_message_seen_four_times_is_quarantined_without_parsing(
    cloud: MotoCloud, ingest: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever killed the function before does not get the chance again."""
    arrival = arrivals.new_arrival()
    key = f"hosp1/uploads/{arrival}"
    cloud.s3.put_object(Bucket="inbox", Key=key, Body=slice_of())

    def killed(*_: object, **__: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(deliveries, "ingest_object", killed)
        for receives in (1, 2, 3):
            with pytest.raises(SystemExit):
                call(ingest, message(("inbox", key, 10), receives=receives))
    assert call(ingest, message(("inbox", key, 10), receives=4)) == []
    assert keys(cloud, "inbox") == []
    assert keys(cloud, "archive") == [f"quarantine/hosp1/{arrival}", f"quarantine/hosp1/{arrival}.reason.json"]
    receipt = read_receipt(cloud.runtime.index, HOSP, arrival)
    assert receipt is not None
    assert (receipt.state, receipt.failures) == ("quarantined", (("", "poison", ""),))


def test_bundles_and_large_objects_are_passed_to_the_other_queue(
    cloud: MotoCloud, ingest: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the fast function alone; the other one has no such setting and takes them in."""
    sqs = boto3.client("sqs")
    queue = sqs.create_queue(QueueName="bulk")["QueueUrl"]
    body = io.BytesIO()
    with zipfile.ZipFile(body, "w") as bundle:
        bundle.writestr("IM1", slice_of(number=1))
    cloud.s3.put_object(Bucket="inbox", Key="hosp1/disc.ZIP", Body=body.getvalue())
    monkeypatch.setenv("MAYPACS_BULK_QUEUE", queue)
    assert call(ingest, message(("inbox", "hosp1/disc.ZIP", len(body.getvalue())))) == []
    assert keys(cloud, "inbox") == ["hosp1/disc.ZIP"]
    (passed,) = sqs.receive_message(QueueUrl=queue)["Messages"]
    monkeypatch.delenv("MAYPACS_BULK_QUEUE")
    again = message()
    again["body"] = passed["Body"]
    assert call(ingest, again) == []
    assert keys(cloud, "inbox") == []


def test_no_patient_data_is_logged(
    cloud: MotoCloud, ingest: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither names from files nor names in keys, in success and in failure."""
    cloud.s3.put_object(Bucket="inbox", Key="hosp1/NGUYEN VAN THU.dcm", Body=slice_of())
    cloud.s3.put_object(Bucket="inbox", Key="hosp1/NGUYEN VAN THU 2.dcm", Body=b"no image of NGUYEN VAN THU")
    created = [("inbox", f"hosp1/{name}.dcm", 10) for name in ("NGUYEN VAN THU", "NGUYEN VAN THU 2")]
    log = io.StringIO()
    monkeypatch.setattr(ingest.logger.registered_handler, "stream", log)
    assert call(ingest, message(*created)) == []
    printed = capsys.readouterr()
    said = log.getvalue() + printed.out + printed.err
    assert said.count("taken in") == 2
    for patient in ("Nguy", "NGUYEN", "TEST-1"):
        assert patient not in said


def test_a_series_gets_one_thumbnail_when_its_sidecar_appears(cloud: MotoCloud, ingest: ModuleType) -> None:
    """Before the index knows it: again later. Then once, however often the event comes."""
    thumbnails = load_function("thumbnails")
    sidecar = f"meta/hosp1/{STUDY}/{SERIES}/{'0' * 32}.json.gz"
    assert call(thumbnails, message(("archive", sidecar, 10))) == ["m1"]
    body = slice_of()
    cloud.s3.put_object(Bucket="inbox", Key="hosp1/a.dcm", Body=body)
    call(ingest, message(("inbox", "hosp1/a.dcm", len(body))))
    assert call(thumbnails, message(("archive", sidecar, 10))) == []
    (key,) = keys(cloud, "archive", "blobs/thumbs/")
    assert key == f"blobs/thumbs/hosp1/{STUDY}/{SERIES}.jpg"
    picture = cloud.s3.get_object(Bucket="archive", Key=key)
    assert picture["ContentType"] == "image/jpeg"
    assert picture["Body"].read().startswith(b"\xff\xd8\xff")
    assert call(thumbnails, message(("archive", sidecar, 10), ("archive", "decisions/hosp1/x.json", 1))) == []
    versions = cloud.s3.list_object_versions(Bucket="archive", Prefix="blobs/thumbs/")["Versions"]
    assert len(versions) == 1


def test_the_housekeeper_takes_in_what_waited_too_long(cloud: MotoCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """An event was lost; the listing of the inbox is the truth. A young object is left to its event."""
    housekeeper = load_function("housekeeper")
    cloud.s3.put_object(Bucket="inbox", Key="hosp1/a.dcm", Body=slice_of())
    assert housekeeper.handler({}, Context()) == {"swept": 0, "failed": 0, "expired": 0}
    monkeypatch.setattr(housekeeping.waiting, "__kwdefaults__", late())
    assert housekeeper.handler({}, Context()) == {"swept": 1, "failed": 0, "expired": 0}
    assert keys(cloud, "inbox") == []


def late() -> dict[str, Any]:
    """Twenty minutes later."""
    return {"older_than": housekeeping.SWEEP_AGE, "clock": lambda: housekeeping.utc_now() + timedelta(minutes=20)}


def test_where_a_poller_looks_after_the_inbox_the_housekeeper_leaves_it(
    cloud: MotoCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a node: else a large bundle would be taken in twice at once, uncounted, by the process of the thumbnails."""
    monkeypatch.setattr(housekeeping.waiting, "__kwdefaults__", late())
    cloud.s3.put_object(Bucket="inbox", Key="hosp1/a.dcm", Body=slice_of())
    monkeypatch.setenv("MAYPACS_SWEEP", "off")
    assert load_function("housekeeper").handler({}, Context())["swept"] == 0
    assert keys(cloud, "inbox") == ["hosp1/a.dcm"]
    monkeypatch.delenv("MAYPACS_SWEEP")
    assert load_function("housekeeper").handler({}, Context())["swept"] == 1


def test_with_a_queue_the_housekeeper_sends_messages_as_s3_does(
    cloud: MotoCloud, ingest: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it sends is what ingest reads."""
    sqs = boto3.client("sqs")
    queue = sqs.create_queue(QueueName="ingest")["QueueUrl"]
    monkeypatch.setenv("MAYPACS_INGEST_QUEUE", queue)
    monkeypatch.setattr(housekeeping.waiting, "__kwdefaults__", late())
    cloud.s3.put_object(Bucket="inbox", Key="hosp1/đĩa 1/a+b.dcm", Body=slice_of())
    assert load_function("housekeeper").handler({}, Context())["swept"] == 1
    (sent,) = sqs.receive_message(QueueUrl=queue)["Messages"]
    again = message()
    again["body"] = sent["Body"]
    assert call(ingest, again) == []
    assert keys(cloud, "inbox") == []


def test_composed_answers_go_after_a_day(cloud: MotoCloud) -> None:
    """Nothing else below blobs/ does."""
    for key in ("blobs/exports/hosp1/x", "blobs/thumbs/hosp1/1/2.jpg"):
        cloud.s3.put_object(Bucket="archive", Key=key, Body=b"x")
    objects = cloud.runtime.archive_objects
    assert housekeeping.expire_exports(objects) == 0
    tomorrow = housekeeping.utc_now() + timedelta(days=1, minutes=1)
    assert housekeeping.expire_exports(objects, clock=lambda: tomorrow) == 1
    assert keys(cloud, "archive") == ["blobs/thumbs/hosp1/1/2.jpg"]


# Compactor


def images_of_days_ago(cloud: MotoCloud, count: int) -> None:
    """One image an upload; the archive has been quiet since."""
    three_days_ago = Effects(clock=lambda: time.time() - 3 * 86_400)
    workspace = cloud.runtime.unscoped_workspace(HOSP)
    for number in range(1, count + 1):
        key = workspace.store.upload_key(arrivals.new_arrival())
        workspace.store.inbox.put(key, slice_of(number=number))
        assert ingest_object(workspace, key, effects=three_days_ago) is not None


def test_the_compactor_makes_few_packs_of_many_and_says_how_many(
    cloud: MotoCloud, capsys: pytest.CaptureFixture[str]
) -> None:
    """In its log and metrics: numbers, and no name, number or UID of anybody."""
    images_of_days_ago(cloud, 10)
    done = load_function("compactor").handler({}, Context())
    assert {name: done[name] for name in ("series", "packs", "into", "failed")} == {
        "series": 1,
        "packs": 10,
        "into": 1,
        "failed": 0,
    }
    found = contents.series_contents(cloud.runtime.unscoped_workspace(HOSP), STUDY, SERIES)
    assert (len(found.packs), found.summary.number_of_instances) == (1, 10)
    said = capsys.readouterr().out
    assert '"Packs"' in said
    assert not any(word in said for word in ("Nguy", "TEST-1", str(STUDY)))


def test_the_compactor_can_be_switched_off(cloud: MotoCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """And does nothing then."""
    images_of_days_ago(cloud, 10)
    monkeypatch.setenv("MAYPACS_COMPACT_AFTER_HOURS", "0")
    assert set(load_function("compactor").handler({}, Context()).values()) == {0}
    assert len(contents.series_contents(cloud.runtime.unscoped_workspace(HOSP), STUDY, SERIES).packs) == 10
