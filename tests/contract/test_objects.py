"""The contract of the object store, on every engine: moto, SeaweedFS, and the fake that other suites use."""

from __future__ import annotations

import hashlib
import io
import os
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from moto import mock_aws
from tests.support.memory_objects import MemoryBuckets

from maypacs.archive import multipart
from maypacs.archive.grants import PresignedUploadGranter
from maypacs.archive.objects import CopyRange, Objects
from maypacs.archive.s3_objects import S3Objects
from maypacs.errors import ObjectNotFoundError, PreconditionFailedError
from maypacs_node.seaweed import SeaweedFS

MIB = 1024 * 1024
Pair = tuple[Objects, Objects]


@pytest.fixture(scope="module")
def seaweed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    with SeaweedFS(tmp_path_factory.mktemp("seaweed"), fsync=False) as store:
        yield store


@pytest.fixture(params=["memory", "moto", "seaweed"])
def buckets(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Pair]:
    """Two buckets of one engine, used by no other test (on a shared engine: by key prefix)."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it would keep another engine's credentials
    if request.param == "memory":
        memory = MemoryBuckets()
        yield memory.bucket("archive"), memory.bucket("inbox")
    elif request.param == "moto":
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "testing")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        with mock_aws():
            client = boto3.client("s3")
            client.create_bucket(Bucket="archive")
            client.create_bucket(Bucket="inbox")
            yield S3Objects("archive"), S3Objects("inbox")
    else:
        store: SeaweedFS = request.getfixturevalue("seaweed")
        for name, value in store.environment.items():
            monkeypatch.setenv(name, value)
        yield S3Objects("archive", endpoint=store.endpoint), S3Objects("inbox", endpoint=store.endpoint)


@pytest.fixture
def objects(buckets: Pair) -> Objects:
    return buckets[0]


@pytest.fixture
def key() -> Callable[[str], str]:
    """Keys that no other test has."""
    prefix = uuid.uuid4().hex
    return lambda name: f"{prefix}/{name}"


Key = Callable[[str], str]


def test_what_was_put_is_read_back_whole_and_by_range(objects: Objects, key: Key) -> None:
    """Put, get, get of a range, of a tail, and of nothing."""
    objects.put(key("a b+c/1.2.3"), b"0123456789", content_type="text/x", metadata={"arrival": "01A"})
    assert objects.get(key("a b+c/1.2.3")) == b"0123456789"
    assert objects.get(key("a b+c/1.2.3"), offset=2, length=3) == b"234"
    assert objects.get(key("a b+c/1.2.3"), offset=7) == b"789"
    assert objects.get(key("a b+c/1.2.3"), offset=8, length=100) == b"89"
    assert objects.get(key("a b+c/1.2.3"), offset=3, length=0) == b""
    assert b"".join(objects.stream(key("a b+c/1.2.3"), offset=1, length=4)) == b"1234"


def test_the_head_tells_size_type_metadata_and_time(objects: Objects, key: Key) -> None:
    """What ingest and reindex read from heads."""
    etag = objects.put(key("x"), b"12345", content_type="text/x", metadata={"arrival": "01A", "joinable": "1"})
    head = objects.head(key("x"))
    assert (head.key, head.size, head.etag) == (key("x"), 5, etag)
    assert (head.content_type, dict(head.metadata)) == ("text/x", {"arrival": "01A", "joinable": "1"})
    assert head.last_modified.tzinfo is not None
    assert abs(datetime.now(UTC) - head.last_modified) < timedelta(minutes=5)
    body, same = objects.get_with_head(key("x"))
    assert body == b"12345"
    assert same == head


def test_what_is_not_there_is_not_found(objects: Objects, key: Key) -> None:
    """One error for every way of reading."""
    for read in (objects.head, objects.get, objects.get_with_head, lambda name: list(objects.stream(name))):
        with pytest.raises(ObjectNotFoundError):
            read(key("nothing"))
    with pytest.raises(ObjectNotFoundError):
        objects.copy(CopyRange(key("nothing")), key("copy"), content_type="x/y", metadata={})


def test_a_bucket_without_versions_has_one_of_each_object(objects: Objects, key: Key) -> None:
    """It can be read and deleted by its version; what is gone is no error."""
    objects.put(key("x/1"), b"one")
    objects.put(key("x/1"), b"another")
    objects.put(key("x/2"), b"two")
    found = list(objects.versions(key("x/")))
    assert [(each.key, each.size, each.is_latest, each.is_marker) for each in found] == [
        (key("x/1"), 7, True, False),
        (key("x/2"), 3, True, False),
    ]
    assert b"".join(objects.stream(found[0].key, offset=1, length=3, version_id=found[0].version_id)) == b"not"
    for _ in range(2):
        objects.delete_version(found[0].key, found[0].version_id)
    assert [each.key for each in objects.list(key("x/"))] == [key("x/2")]
    objects.delete(key("x/2"))
    assert list(objects.versions(key("x/"))) == []


@pytest.fixture(params=["memory", "moto"])
def versioned(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Objects]:
    """A bucket that keeps versions."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    if request.param == "memory":
        yield MemoryBuckets(versioned=["archive"]).bucket("archive")
        return
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="archive")
        client.put_bucket_versioning(Bucket="archive", VersioningConfiguration={"Status": "Enabled"})
        yield S3Objects("archive")


def test_versions_stay_until_each_of_them_is_deleted(versioned: Objects, key: Key) -> None:
    """Overwritten and deleted objects are still there; the mark of a deletion goes the same way."""
    versioned.put(key("x"), b"first")
    versioned.put(key("x"), b"second")
    versioned.delete(key("x"))
    versioned.put(key("y"), b"other")
    assert [head.key for head in versioned.list(key(""))] == [key("y")]
    found = [each for each in versioned.versions(key("")) if each.key == key("x")]
    assert sorted((each.size, each.is_latest, each.is_marker) for each in found) == [
        (0, True, True),
        (5, False, False),
        (6, False, False),
    ]
    bodies = {b"".join(versioned.stream(v.key, version_id=v.version_id)) for v in found if not v.is_marker}
    assert bodies == {b"first", b"second"}
    for each in found:
        versioned.delete_version(each.key, each.version_id)
    assert [each.key for each in versioned.versions(key(""))] == [key("y")]
    with pytest.raises(ObjectNotFoundError):
        list(versioned.stream(key("x"), version_id=found[-1].version_id))


def test_put_if_absent_writes_once(objects: Objects, key: Key) -> None:
    """The second writer is told, and the first one's bytes stay."""
    objects.put(key("x"), b"first", only_if_absent=True)
    with pytest.raises(PreconditionFailedError):
        objects.put(key("x"), b"second", only_if_absent=True)
    assert objects.get(key("x")) == b"first"
    objects.put(key("x"), b"third")
    assert objects.get(key("x")) == b"third"


def test_reading_can_insist_on_a_version(objects: Objects, key: Key) -> None:
    """A bundle that changes while it is read is noticed."""
    etag = objects.put(key("x"), b"first")
    assert objects.get(key("x"), offset=1, length=2, if_match=etag) == b"ir"
    objects.put(key("x"), b"other")
    with pytest.raises(PreconditionFailedError):
        objects.get(key("x"), offset=1, length=2, if_match=etag)


def test_a_copy_has_the_bytes_and_new_metadata(buckets: Pair, key: Key) -> None:
    """From the inbox to the archive, by storage."""
    archive, inbox = buckets
    etag = inbox.put(key("up 1"), b"pack", content_type="a/b", metadata={"old": "1"})
    source = CopyRange(key("up 1"), bucket=inbox.bucket)
    archive.copy(source, key("pack"), content_type="c/d", metadata={"new": "2"}, source_etag=etag, only_if_absent=True)
    body, head = archive.get_with_head(key("pack"))
    assert (body, head.content_type, dict(head.metadata)) == (b"pack", "c/d", {"new": "2"})


@pytest.mark.parametrize("buckets", ["memory", "seaweed"], indirect=True)  # moto copies all the same (5.2)
def test_a_copy_if_absent_copies_once(buckets: Pair, key: Key) -> None:
    """Two deliveries of one pack: the second is told, and the first one's metadata stay."""
    archive, inbox = buckets
    inbox.put(key("up"), b"pack")
    source = CopyRange(key("up"), bucket=inbox.bucket)
    archive.copy(source, key("pack"), content_type="c/d", metadata={"arrival": "1"}, only_if_absent=True)
    with pytest.raises(PreconditionFailedError):
        archive.copy(source, key("pack"), content_type="c/d", metadata={"arrival": "2"}, only_if_absent=True)
    assert archive.head(key("pack")).metadata["arrival"] == "1"


# moto ignores CopySourceIfMatch (5.2); the real engines and the fake do not.
@pytest.mark.parametrize("buckets", ["memory", "seaweed"], indirect=True)
def test_a_copy_insists_on_its_source(buckets: Pair, key: Key) -> None:
    """What was digested is what is copied, or nothing."""
    archive, inbox = buckets
    inbox.put(key("up"), b"changed meanwhile")
    source = CopyRange(key("up"), bucket=inbox.bucket)
    with pytest.raises(PreconditionFailedError):
        archive.copy(source, key("pack"), content_type="c/d", metadata={}, source_etag="0" * 32)
    with pytest.raises(ObjectNotFoundError):
        archive.head(key("pack"))


def test_a_join_of_small_ranges_and_literals(objects: Objects, key: Key) -> None:
    """Below S3's part size everything is read and put."""
    objects.put(key("a"), b"0123456789")
    objects.put(key("b"), b"abcdefghij")
    parts: list[CopyRange | bytes] = [b"<", CopyRange(key("a"), 2, 3), b"|", CopyRange(key("b")), b">"]
    objects.join(parts, key("joined"), content_type="x/y", metadata={"m": "1"})
    body, head = objects.get_with_head(key("joined"))
    assert body == b"<234|abcdefghij>"
    assert (head.content_type, dict(head.metadata)) == ("x/y", {"m": "1"})


@pytest.mark.parametrize(
    "shape",
    [
        ["head", (0, None), "tail"],  # an instance larger than a pack
        [(0, 12 * MIB), (0, 7 * MIB + 1), (5, None)],  # packs joined
        [(0, 3 * MIB), (0, 3 * MIB), "x", (0, 11 * MIB), (1, 1)],  # small ones between large ones
        [(0, 4 * MIB), "y", (0, 6 * MIB), (0, 6 * MIB)],
    ],
)
def test_a_join_of_large_ranges_is_what_concatenation_is(
    objects: Objects, key: Key, shape: list[str | tuple[int, int | None]]
) -> None:
    """Whatever storage copies and we read, the bytes are those of the parts in order."""
    source = bytes(range(256)) * (52 * 1024)  # 13 MiB
    objects.put(key("source"), source)
    expected = b""
    parts: list[CopyRange | bytes] = []
    for part in shape:
        if isinstance(part, str):
            parts.append(part.encode())
            expected += part.encode()
        else:
            offset, length = part
            parts.append(CopyRange(key("source"), offset, length))
            expected += source[offset : None if length is None else offset + length]
    objects.join(parts, key("joined"), content_type="x/y", metadata={})
    assert hashlib.sha256(objects.get(key("joined"))).digest() == hashlib.sha256(expected).digest()


def test_a_file_is_put_from_its_stream(objects: Objects, key: Key) -> None:
    """A body that is read as it goes, larger than one part."""
    body = os.urandom(MIB) * 66
    objects.put(key("file"), io.BytesIO(body), metadata={"m": "1"})
    head = objects.head(key("file"))
    assert (head.size, dict(head.metadata)) == (len(body), {"m": "1"})
    assert objects.get(key("file"), offset=64 * MIB - 2, length=4) == body[64 * MIB - 2 : 64 * MIB + 2]


def test_listing_is_in_key_order_whole_or_cut(objects: Objects, key: Key) -> None:
    """Prefix, start and limit; other prefixes are not in it."""
    names = sorted(f"p/{number:04}" for number in range(23))
    for name in reversed(names):
        objects.put(key(name), b"x")
    objects.put(key("q/0"), b"other")
    assert [head.key for head in objects.list(key("p/"))] == [key(name) for name in names]
    assert [head.key for head in objects.list(key("p/"), start_after=key(names[19]))] == [key(n) for n in names[20:]]
    assert [head.key for head in objects.list(key("p/"), limit=2)] == [key(n) for n in names[:2]]
    assert [head.size for head in objects.list(key("q/"))] == [5]


def test_deleting_twice_is_deleting(objects: Objects, key: Key) -> None:
    """Every step can be repeated."""
    objects.put(key("x"), b"x")
    objects.delete(key("x"))
    objects.delete(key("x"))
    with pytest.raises(ObjectNotFoundError):
        objects.get(key("x"))


def test_a_presigned_upload_takes_exactly_what_was_granted(
    seaweed: SeaweedFS, monkeypatch: pytest.MonkeyPatch, key: Key
) -> None:
    """Right bytes once; other bytes, or the same a second time, are refused (SeaweedFS checks signatures)."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    for name, value in seaweed.environment.items():
        monkeypatch.setenv(name, value)
    body = b"--pack"
    granter = PresignedUploadGranter("inbox", endpoint=seaweed.endpoint)
    grant = granter.grant(key("up"), len(body), hashlib.sha256(body).hexdigest(), "application/dicom")

    def put(data: bytes) -> int:
        request = urllib.request.Request(grant.url, data=data, method=grant.method, headers=dict(grant.headers))
        try:
            with urllib.request.urlopen(request) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    assert put(b"--kcap") in (400, 403)
    assert put(body) == 200
    assert put(body) == 412
    assert S3Objects("inbox", endpoint=seaweed.endpoint).get(key("up")) == body


@pytest.mark.parametrize(
    "lengths",
    [[1], [0], [5 * MIB], [5 * MIB - 1, 1], [6 * MIB, 6 * MIB], [1, 20 * MIB, 2], [3 * MIB] * 9, [11 * 1024**3]],
)
def test_every_part_of_a_plan_but_the_last_is_large_enough(lengths: list[int]) -> None:
    """S3's rule of parts: 5 MiB at least (ours: what is copied at once); the plan covers the inputs exactly."""
    steps = multipart.plan([(length, True) for length in lengths])
    assert all(step.length >= multipart.MIN_PART for step in steps[:-1])
    assert all(step.length <= multipart.COPY_PART for step in steps)
    assert all(not step.copy or len(step.spans) == 1 for step in steps)
    covered = [(span.part, span.offset, span.length) for step in steps for span in step.spans]
    expected_part, expected_offset = 0, 0
    for part, offset, length in covered:
        while expected_part < part:
            assert expected_offset == lengths[expected_part]
            expected_part, expected_offset = expected_part + 1, 0
        assert offset == expected_offset
        expected_offset += length
    assert sum(length for _, _, length in covered) == sum(lengths)
