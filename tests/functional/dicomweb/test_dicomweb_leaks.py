"""What was deleted, and what lost a conflict, is in no answer: pack, export, cached metadata, thumbnail or old URL."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from pydicom.uid import RLELossless
from tests.functional.dicomweb import make
from tests.functional.dicomweb.client import STORED, Client, Reply

from maypacs.arrivals import new_arrival
from maypacs.errors import ObjectNotFoundError
from maypacs.ingest import store_instances
from maypacs.pixels.encode import JPEG_LS
from maypacs.uids import archive_id

CANARY = "MAYPACSCANARY"
DEFAULT = 'multipart/related; type="application/dicom"'
OCTETS = 'multipart/related; type="application/octet-stream"'
STUDY = f"/studies/{make.STUDY}"
#: What is asked of the study, a path and an Accept each; every way in which an answer is composed.
QUESTIONS = [
    (STUDY, STORED),
    (make.url(), STORED),
    (make.url(), DEFAULT),
    (make.url(), f"{DEFAULT}; transfer-syntax={JPEG_LS}"),
    (STUDY, OCTETS),
    (f"{STUDY}/bulkdata", None),
    (f"{make.url()}/pixeldata", f"{OCTETS}; transfer-syntax=*"),
    (f"{STUDY}/metadata", "application/dicom+json"),
    (f"{make.url()}/metadata", 'multipart/related; type="application/dicom+xml"'),
    (f"{STUDY}/rendered", None),
    ("/instances", None),
    (f"{make.url()}/instances?includefield=all", None),
]
#: Of the instance that goes.
OF_ONE = ["", "/metadata", "/frames/1", "/bulkdata", "/bulkdata/7FE00010", "/pixeldata", "/rendered", "/thumbnail"]


def _instance(number: int, *, canary: bool = False, syntax: str = "1.2.840.10008.1.2.1") -> bytes:
    """A slice whose every value and pixel says whether it may be seen."""
    ds = make.dataset(number, size=64)
    pixels = np.full((64, 64), 0x5A5A if canary else number, "<u2")
    ds.PixelData = pixels.tobytes()
    ds.SeriesDescription = "x"
    ds.ImageComments = f"{CANARY} {number}" if canary else "may be seen"
    return make.part10(ds, syntax)


def _store(client: Client, *instances: bytes) -> None:
    workspace = client.runtime.unscoped_workspace(archive_id(client.archive))
    store_instances(workspace, new_arrival(), list(instances))


def _shows_canary(reply: Reply, uid: str | None) -> bool:
    return (
        CANARY.encode() in reply.body or b"\x5a" * 64 in reply.body or (uid is not None and uid.encode() in reply.body)
    )


@pytest.fixture(params=[None, 2000], ids=["inline", "redirected"])
def client(request: pytest.FixtureRequest, make_client: Callable[..., Client]) -> Client:
    """Under a gateway that carries everything, and one that carries next to nothing."""
    limits = {} if request.param is None else {"inline_limit": request.param, "limits": "none"}
    return make_client(**limits)


def _ask(client: Client) -> Iterator[tuple[str, Reply]]:
    for path, accept in QUESTIONS:
        reply = client.send("GET", path, {"Accept": accept} if accept else {}, follow=False)
        assert reply.status in {200, 307}, (path, accept, reply.body)
        yield f"{path} {accept}", reply


@pytest.mark.parametrize("together", [True, False], ids=["one pack", "a pack each"])
def test_a_deleted_instance_is_in_no_answer_and_no_url_given_before_shows_it(client: Client, together: bool) -> None:
    """Everything is asked before, so that all caches and exports are there; then it is deleted; then asked again."""
    instances = [_instance(1), _instance(2, canary=True, syntax=RLELossless), _instance(3)]
    for batch in [instances] if together else [[each] for each in instances]:
        _store(client, *batch)
    before = dict(_ask(client))
    single = {below: client.send("GET", make.url(2) + below, follow=False) for below in OF_ONE}
    assert any(_shows_canary(r if r.status == 200 else client.blob(r), make.sop(2)) for r in before.values())
    assert client.send("DELETE", make.url(2)).status == 204
    for question, reply in _ask(client):
        shown = reply if reply.status == 200 else client.blob(reply)
        assert not _shows_canary(shown, make.sop(2)), question
        if "etag" in before[question].headers:
            assert reply.headers["etag"] != before[question].headers["etag"], question
    for below in OF_ONE:
        assert client.get(make.url(2) + below).status == 410, below
    for question, reply in [*before.items(), *single.items()]:
        if reply.status == 307:
            with pytest.raises(ObjectNotFoundError):
                client.blob(reply)
            assert "location" in reply.headers, question


def test_old_etags_are_no_304_after_a_deletion(client: Client) -> None:
    """A cached answer is not confirmed."""
    _store(client, _instance(1), _instance(2, canary=True))
    tags = {
        (path, accept): client.send("GET", path, {"Accept": accept} if accept else {}, follow=False).headers.get("etag")
        for path, accept in QUESTIONS
    }
    assert client.send("DELETE", make.url(2)).status == 204
    for (path, accept), etag in tags.items():
        if etag:
            headers = {"If-None-Match": etag, **({"Accept": accept} if accept else {})}
            assert client.send("GET", path, headers, follow=False).status != 304, path


def test_the_loser_of_a_conflict_is_in_no_answer(client: Client) -> None:
    """Its bytes are kept in a pack beside good instances: the pack is never given."""
    _store(client, _instance(1), _instance(2))
    _store(client, _instance(2, canary=True), _instance(3))
    for question, reply in _ask(client):
        assert not _shows_canary(reply if reply.status == 200 else client.blob(reply), None), question
    for below in OF_ONE:
        assert not _shows_canary(client.get(make.url(2) + below), None), below


def test_a_deleted_study_takes_its_exports_along_and_leaves_those_of_others(make_client: Callable[..., Client]) -> None:
    """What was composed of it is gone from storage, not only from the index."""
    client = make_client(inline_limit=2000, limits="none")
    other = make.STUDY + ".5"
    _store(client, _instance(1), _instance(2))
    _store(client, make.instance(1, study=other, series=other + ".1", size=64))
    dict(_ask(client))
    kept = client.send("GET", f"/studies/{other}/pixeldata", {}, follow=False)
    objects = client.runtime.archive_objects
    root = f"blobs/exports/{client.archive}/"
    assert [head.key for head in objects.list(f"{root}{make.STUDY}/")]
    assert client.send("DELETE", STUDY).status == 204
    assert not [head.key for head in objects.list(f"{root}{make.STUDY}/")]
    assert client.blob(kept).body
