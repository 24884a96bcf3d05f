"""Where a series' frames lie in its packs, for the viewer that streams them."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

import pytest
from tests.functional.console.conftest import Ask
from tests.support.ct import small_ct
from tests.support.moto_cloud import MotoCloud

from maypacs.access.keys import add_key
from maypacs.access.principals import Role
from maypacs.arrivals import new_arrival
from maypacs.delete import remove
from maypacs.ingest import store_instances
from maypacs.uids import ArchiveId, uid

SERIES = "/api/archives/hosp1/studies/1.2.1/series/1.2.1.1/packs"


def store(cloud: MotoCloud, *instances: bytes) -> None:
    workspace = cloud.runtime.unscoped_workspace(ArchiveId("hosp1"))
    outcomes = store_instances(workspace, new_arrival(), list(instances))
    assert {outcome.result for outcome in outcomes} == {"stored"}


@pytest.fixture
def key(cloud: MotoCloud) -> str:
    return add_key(cloud.runtime.accounts, "hosp1", Role.VIEWER).key


def test_the_runs_of_a_pack_are_its_frames(cloud: MotoCloud, ask: Ask, key: str) -> None:
    """Every frame's bytes, by a signed address that storage answers; an instance without pixels has none."""
    pixels = [os.urandom(512) for _ in range(3)]
    store(cloud, *(small_ct("1.2.1", pixels=each, instance=n) for n, each in enumerate(pixels, 1)))
    store(cloud, small_ct("1.2.1", instance=9))
    (pack,) = ask("GET", SERIES, key=key).json()["packs"]
    address = urlsplit(pack["url"])
    assert address.path.startswith("/blobs/packs/hosp1/1.2.1/1.2.1.1/")
    assert address.query
    objects = cloud.runtime.unscoped_workspace(ArchiveId("hosp1")).store.objects
    body = objects.get(address.path.lstrip("/"))
    assert len(body) == pack["size"]
    read = {
        each["sop_instance_uid"]: [
            body[offset + n * length :][:length] for offset, length, count in each["runs"] for n in range(count)
        ]
        for each in pack["instances"]
    }
    assert read == {f"1.2.1.1.{n}": [each] for n, each in enumerate(pixels, 1)}
    assert {each["transfer_syntax_uid"] for each in pack["instances"]} == {"1.2.840.10008.1.2.1"}


def test_no_address_leads_to_what_was_deleted(cloud: MotoCloud, ask: Ask, key: str) -> None:
    """A deletion rewrites the pack: the old one is named no more; a deleted series is gone."""
    store(cloud, *(small_ct("1.2.1", pixels=os.urandom(512), instance=n) for n in (1, 2)))
    (before,) = ask("GET", SERIES, key=key).json()["packs"]
    workspace = cloud.runtime.unscoped_workspace(ArchiveId("hosp1"))
    remove(workspace, uid("1.2.1"), uid("1.2.1.1"), uid("1.2.1.1.2"), "test")
    (after,) = ask("GET", SERIES, key=key).json()["packs"]
    assert urlsplit(after["url"]).path != urlsplit(before["url"]).path
    assert [each["sop_instance_uid"] for each in after["instances"]] == ["1.2.1.1.1"]
    remove(workspace, uid("1.2.1"), uid("1.2.1.1"), None, "test")
    assert ask("GET", SERIES, key=key).status == 410


def test_only_who_may_read_the_study_is_told(cloud: MotoCloud, ask: Ask, key: str) -> None:
    store(cloud, small_ct("1.2.1", pixels=os.urandom(512)))
    assert ask("GET", SERIES).status == 401
    other = add_key(cloud.runtime.accounts, "hosp10", Role.ADMIN).key
    assert ask("GET", SERIES, key=other).status in (403, 404)
    assert ask("GET", SERIES.replace("1.2.1.1", "1.2.9"), key=key).status == 404
    assert ask("GET", SERIES.replace("/1.2.1/", "/no-uid/"), key=key).status == 400
