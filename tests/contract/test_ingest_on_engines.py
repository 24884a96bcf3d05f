"""The road through the archive on pairs of engines: ingest, conflict, deletion, reindex; an instance of 70 MiB."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import boto3
import pytest
from moto import mock_aws
from tests.support.clock import Clock
from tests.support.instances import slice_of
from tests.support.workspaces import HOSP, PACK_KEY, QUICK, every_byte_is_there, visible

from maypacs import arrivals, incoming
from maypacs.archive.s3_objects import S3Objects
from maypacs.archive.store import ArchiveStore
from maypacs.compaction import compact
from maypacs.delete import delete_instance, delete_study
from maypacs.erase import carry_on, erase, proof
from maypacs.errors import GoneError
from maypacs.incoming import Incoming
from maypacs.index import contents
from maypacs.index.cascade import Effects
from maypacs.index.dynamodb_table import DynamoDBTable, create_table_request
from maypacs.index.sqlite_table import SqliteTable
from maypacs.ingest import ingest_object, store_instances
from maypacs.pack import grammar
from maypacs.receipts import Receipt
from maypacs.reindex import reindex
from maypacs.restore import restore
from maypacs.uids import Uid
from maypacs.workspace import Workspace
from maypacs_node.seaweed import SeaweedFS

STUDY, SERIES = Uid("1.2.3"), Uid("1.2.3.1")


@pytest.fixture(scope="module")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    with SeaweedFS(tmp_path_factory.mktemp("seaweed"), fsync=False) as store:
        yield store


@pytest.fixture(params=["moto and moto", "sqlite and seaweed"])
def workspaces(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Workspace, Workspace]]:
    """A workspace, and one of the same objects whose table is empty."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it would keep another engine's credentials
    if request.param == "moto and moto":
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "testing")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        with mock_aws():
            s3, dynamodb = boto3.client("s3"), boto3.client("dynamodb")
            for bucket in ("archive", "inbox"):
                s3.create_bucket(Bucket=bucket)
            for table in ("one", "two"):
                dynamodb.create_table(**create_table_request(table))
            store = ArchiveStore(HOSP, objects=S3Objects("archive"), inbox=S3Objects("inbox"), pack_key=PACK_KEY)
            yield Workspace(HOSP, DynamoDBTable("one"), store), Workspace(HOSP, DynamoDBTable("two"), store)
    else:
        engine: SeaweedFS = request.getfixturevalue("seaweed")
        for name, value in engine.environment.items():
            monkeypatch.setenv(name, value)
        archive, inbox = (S3Objects(bucket, endpoint=engine.endpoint) for bucket in ("archive", "inbox"))
        store = ArchiveStore(HOSP, objects=archive, inbox=inbox, pack_key=PACK_KEY)
        tables = [SqliteTable(tmp_path / f"{name}.sqlite") for name in ("one", "two")]
        yield Workspace(HOSP, tables[0], store), Workspace(HOSP, tables[1], store)
        for bucket in (archive, inbox):
            for head in list(bucket.list("")):
                bucket.delete(head.key)


def send(workspace: Workspace, body: bytes) -> Receipt:
    key = workspace.store.upload_key(arrivals.new_arrival())
    workspace.store.inbox.put(key, body)
    receipt = ingest_object(workspace, key, size=len(body), effects=QUICK)
    assert receipt is not None
    return receipt


def pack_of(*files: bytes) -> bytes:
    read = [each for each in map(incoming.read, files) if isinstance(each, Incoming)]
    parts = [grammar.Instance(each.data, each.transfer_syntax, each.study, each.series, each.instance) for each in read]
    return grammar.write_pack(parts, archive_id=HOSP, secret=PACK_KEY).data


def test_the_road_through_an_archive(workspaces: tuple[Workspace, Workspace]) -> None:
    """Packs, a zip, a conflict; the same bytes back; reindex sees the same; deletion takes it all away."""
    workspace, anew = workspaces
    files = [slice_of(number=number) for number in range(1, 6)]
    assert send(workspace, pack_of(files[0], files[1])).counts == {"stored": 2}
    bundle = io.BytesIO()
    with zipfile.ZipFile(bundle, "w") as disc:
        for number in (2, 3, 4):
            disc.writestr(f"IM{number}", files[number])
    assert send(workspace, bundle.getvalue()).counts == {"stored": 3}
    assert send(workspace, pack_of(files[0], files[1])).counts == {"duplicate": 2}
    assert send(workspace, slice_of(number=5, pixels=b"\xee" * 32)).counts == {"conflict": 1}
    assert list(every_byte_is_there(workspace, STUDY, SERIES).values()) == files
    held = contents.series_contents(workspace, STUDY, SERIES)
    assert (held.clean, held.summary.number_of_conflicts) == (True, 1)
    before = visible(workspace)
    reindex(anew, effects=QUICK)
    assert visible(anew) == before
    delete_study(workspace, STUDY, "user:test", effects=QUICK)
    with pytest.raises(GoneError):
        contents.study_contents(workspace, STUDY)
    assert list(workspace.store.objects.list("blobs/")) == []
    assert len(list(workspace.store.objects.list("trash/"))) == 6
    reindex(anew, effects=QUICK)
    assert visible(anew) == visible(workspace) == {}


def test_many_small_packs_become_one_and_are_taken_away_later(workspaces: tuple[Workspace, Workspace]) -> None:
    """Removed instances stay away, conflicts stay conflicts, reindex sees the same, on real conditions of engines."""
    workspace, anew = workspaces
    clock = Clock(time.time())
    effects = Effects(sleep=lambda seconds: None, clock=clock)
    files = [slice_of(number=number) for number in range(1, 13)]
    for body in files:
        assert send(workspace, body).counts == {"stored": 1}
    assert send(workspace, slice_of(number=5, pixels=b"\xee" * 32)).counts == {"conflict": 1}
    delete_instance(workspace, STUDY, SERIES, Uid(f"{SERIES}.3"), "user:test", effects=QUICK)
    before = visible(workspace)
    clock.advance(2 * 86_400)
    done = compact(workspace, quiet_hours=24, effects=effects)
    assert (done.packs, done.into, done.faults) == (11, 1, [])
    assert visible(workspace) == before
    del files[2]
    assert sorted(every_byte_is_there(workspace, STUDY, SERIES).values()) == sorted(files)
    reindex(anew, effects=effects)
    assert visible(anew) == before
    clock.advance(3 * 86_400)
    assert compact(workspace, quiet_hours=24, effects=effects).cleaned == 11
    assert len(list(workspace.store.objects.list("blobs/packs/"))) == 2
    assert sorted(every_byte_is_there(workspace, STUDY, SERIES).values()) == sorted(files)
    reindex(anew, effects=effects)
    assert visible(anew) == visible(workspace) == before


def test_an_instance_of_70_mib_is_stored_without_being_held(workspaces: tuple[Workspace, Workspace]) -> None:
    """By multipart copy; its bytes come back by range."""
    workspace, _ = workspaces
    frame = bytes(range(256)) * 4096
    body = slice_of(rows=512, columns=1024, number_of_frames=70, pixels=frame * 70)
    assert send(workspace, body).counts == {"stored": 1}
    (reference,) = contents.series_contents(workspace, STUDY, SERIES).instances
    assert (reference.length, reference.number_of_frames) == (len(body), 70)
    tail = workspace.store.get_range(STUDY, SERIES, reference.pack_id, reference.offset + len(body) - 1000, 1000)
    assert tail == body[-1000:]
    head = workspace.store.objects.head(workspace.store.pack_key(STUDY, SERIES, reference.pack_id))
    pack = workspace.store.objects.get(head.key)
    assert grammar.pack_id(pack) == reference.pack_id
    assert grammar.scan_pack(pack).parts[0].length == len(body)


def test_an_erasure_leaves_nothing_of_an_instance_on_any_engine(workspaces: tuple[Workspace, Workspace]) -> None:
    """In the pack, in the trash, in pictures; what was beside it is whole, and reindex agrees."""
    workspace, anew = workspaces
    files = [slice_of(number=number, pixels=bytes([number]) * 32) for number in (1, 2, 3)]
    store_instances(workspace, arrivals.new_arrival(), files, effects=QUICK)
    one, two = Uid(f"{SERIES}.1"), Uid(f"{SERIES}.2")
    delete_instance(workspace, STUDY, SERIES, one, "user:thu", effects=QUICK)
    begun = erase(workspace, STUDY, SERIES, two, by="user:thu", reason="x", effects=QUICK)
    later = replace(QUICK, clock=lambda: time.time() + 3600)
    assert carry_on(workspace, effects=later) == {"erased": 1, "erasing": 0}
    objects = workspace.store.objects
    for version in objects.versions(""):
        if not version.key.startswith("decisions/"):
            assert two.encode() not in b"".join(objects.stream(version.key, version_id=version.version_id))
    assert proof(workspace, begun.erasure_id)["proof"]["instances"] == [two]
    assert every_byte_is_there(workspace, STUDY, SERIES) == {f"{SERIES}.3": files[2]}
    restore(workspace, STUDY, SERIES, one, "user:thu", effects=QUICK)
    assert set(every_byte_is_there(workspace, STUDY, SERIES).values()) == {files[0], files[2]}
    reindex(anew, effects=QUICK)
    assert visible(anew) == visible(workspace)
