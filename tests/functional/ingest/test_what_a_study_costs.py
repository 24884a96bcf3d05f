"""Requests and write units of a CT of 500 slices, counted where they leave us: never times."""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import boto3
import pydicom
import pytest
from moto import mock_aws
from pydicom.uid import UID
from samples.phantom import stable_uid, write_ct
from tests.bench.cost.meter import Meter
from tests.support.workspaces import HOSP, PACK_KEY, QUICK, SLICES_A_PACK, packs_of

from maypacs import arrivals, incoming
from maypacs.archive.s3_objects import S3Objects
from maypacs.archive.store import ArchiveStore
from maypacs.frame_bytes import stored_frames
from maypacs.incoming import Incoming
from maypacs.index import contents
from maypacs.index.dynamodb_table import DynamoDBTable, create_table_request
from maypacs.ingest import ingest_object
from maypacs.read_ahead import ReadAhead
from maypacs.uids import Uid
from maypacs.workspace import Workspace

SLICES = 500


@pytest.fixture
def counts() -> Counter[str]:
    return Counter()


def requests_to_s3(counts: Counter[str]) -> dict[str, int]:
    return {name.removeprefix("s3."): n for name, n in counts.items() if name.startswith("s3.")}


@pytest.fixture
def workspace(counts: Counter[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Workspace]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        session = boto3.Session()
        meter = Meter({"index": "index"}, boto3.client("dynamodb"), lambda path: None)
        meter.counts = counts
        meter.watch(session)
        monkeypatch.setattr(boto3, "DEFAULT_SESSION", session)
        s3 = boto3.client("s3")
        for bucket in ("archive", "inbox"):
            s3.create_bucket(Bucket=bucket)
        boto3.client("dynamodb").create_table(**create_table_request("index"))
        store = ArchiveStore(HOSP, objects=S3Objects("archive"), inbox=S3Objects("inbox"), pack_key=PACK_KEY)
        workspace = Workspace(HOSP, DynamoDBTable("index"), store)
        counts.clear()
        yield workspace


@pytest.fixture(scope="module")
def ct(tmp_path_factory: pytest.TempPathFactory) -> list[Incoming]:
    """The phantom's attributes (rows in the index are as long as a real CT's), with small images."""
    (path,) = write_ct(tmp_path_factory.mktemp("ct"), slices=1)
    dataset = pydicom.dcmread(Path(path))
    dataset.Rows = dataset.Columns = 16
    slices = []
    for number in range(1, SLICES + 1):
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = UID(stable_uid("cost", number))
        dataset.InstanceNumber = number
        dataset.ImagePositionPatient = [-192, -192, 2.5 * number]
        dataset.SliceLocation = 2.5 * number
        dataset.PixelData = os.urandom(512)
        file = io.BytesIO()
        dataset.save_as(file)
        read = incoming.read(file.getvalue())
        assert isinstance(read, Incoming)
        slices.append(read)
    return slices


def take_in(workspace: Workspace, slices: list[Incoming]) -> None:
    for body in packs_of(slices):
        key = workspace.store.upload_key(arrivals.new_arrival())
        workspace.store.inbox.put(key, body)
        receipt = ingest_object(workspace, key, size=len(body), effects=QUICK)
        assert receipt is not None
        assert receipt.counts == {"stored": SLICES_A_PACK}


def test_a_ct_of_500_slices_costs_90_write_units_and_20_requests_at_most(
    workspace: Workspace, counts: Counter[str], ct: list[Incoming]
) -> None:
    """From the upload of its four packs to the last row, writes of the index included (one object an instance would be
    500 of each)."""
    take_in(workspace, ct)
    assert 50 <= counts["table.index.write_units"] <= 90
    assert requests_to_s3(counts) == {"PutObject": 8, "GetObject": 4, "CopyObject": 4, "DeleteObject": 4}


def test_a_frame_is_one_get_and_one_read_of_the_index(
    workspace: Workspace, counts: Counter[str], ct: list[Incoming]
) -> None:
    """After the first, which reads what the series holds."""
    take_in(workspace, ct[:SLICES_A_PACK])
    study, series = Uid(ct[0].study), Uid(ct[0].series)
    contents.series_contents(workspace, study, series)
    counts.clear()
    before = workspace.table.consumed.requests
    found = contents.series_contents(workspace, study, series).instance(ct[7].instance)
    stored_frames(workspace, found, [1])
    assert workspace.table.consumed.requests - before == 1
    assert requests_to_s3(counts) == {"GetObject": 1}


def test_a_pack_that_is_read_instance_by_instance_is_few_gets(
    workspace: Workspace, counts: Counter[str], ct: list[Incoming]
) -> None:
    """In the order of the series, as a conversion does; each instance's bytes are its own, also out of that order."""
    take_in(workspace, ct[: 2 * SLICES_A_PACK])
    found = contents.series_contents(workspace, Uid(ct[0].study), Uid(ct[0].series)).instances
    stored = {each.instance: each.data for each in ct}
    counts.clear()
    read = ReadAhead(workspace, found)
    assert all(read(ref) == stored[ref.sop_instance_uid] for ref in found)
    assert requests_to_s3(counts) == {"GetObject": 2}
    assert all(read(ref) == stored[ref.sop_instance_uid] for ref in (found[5], found[-1], found[0]))
