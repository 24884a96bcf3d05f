"""A series of 5,000 MR slices, taken in as an edge sends it, opens and is searched like any other: what it costs is
counted, so that it stays so. `python -m tests.bench.large_series` measures 20,000 slices of fMRI the same way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.functional.dicomweb.client import STORED, Client
from tests.support.large_series import SERIES, STUDY, instance_uid, packs, slice_number

from maypacs import arrivals
from maypacs.ingest import ingest_object
from maypacs.pack.grammar import scan_pack

SLICES = 5_000
PATH = f"/studies/{STUDY}/series/{SERIES}"


class Requests(Counter[str]):
    """What storage is asked, by operation."""

    def __call__(self, event_name: str, **_: Any) -> None:
        self[event_name.rpartition(".")[2]] += 1


_taken_in: dict[int, tuple[str, list[float]]] = {}


@pytest.fixture
def client(make_client: Callable[..., Client]) -> Client:
    """A client of the archive that holds it; the series is taken in once."""
    client = make_client()
    known = _taken_in.get(id(client.runtime.index))
    if known is None:
        workspace = client.runtime.unscoped_workspace(client.archive)
        units = []
        for body in packs(SLICES, archive_id=client.archive, secret=workspace.store.pack_secret):
            key = workspace.store.upload_key(arrivals.new_arrival())
            workspace.store.inbox.put(key, body)
            before = workspace.table.consumed.write_units
            receipt = ingest_object(workspace, key, size=len(body))
            assert receipt is not None
            units.append(workspace.table.consumed.write_units - before)
        _taken_in[id(client.runtime.index)] = client.archive, units
        return client
    return make_client(archive=known[0])


@pytest.fixture
def requests(client: Client) -> Iterator[Requests]:
    """Those of this test to the bucket of the archive."""
    found = Requests()
    events = client.runtime.archive_objects._client.meta.events
    events.register_first("before-send.s3", found, unique_id="large-series")
    yield found
    events.unregister("before-send.s3", unique_id="large-series")


def test_a_pack_more_writes_no_more_rows(client: Client) -> None:
    """The fifth thousand of slices costs the index what the second did: its own rows, and the two summaries."""
    _, units = _taken_in[id(client.runtime.index)]
    assert len(units) == 5
    assert max(units[1:]) <= units[1] + 1
    assert units[-1] < units[0]  # the rows by which a study is found are there


def test_it_is_one_series_of_five_thousand(client: Client) -> None:
    """At the level of studies and of series."""
    (study,) = client.get("/studies?PatientID=TEST-1").json()
    (series,) = client.get(f"/studies/{STUDY}/series").json()
    assert study["00201208"]["Value"] == series["00201209"]["Value"] == [SLICES]


@pytest.mark.parametrize("offset", [0, 2_450, 4_990])
def test_a_page_of_instances_opens_one_sidecar_wherever_it_lies(
    client: Client, requests: Requests, offset: int
) -> None:
    """In order of InstanceNumber; not the sidecars of the pages before it."""
    found = client.get(f"{PATH}/instances?limit=10&offset={offset}").json()
    assert [each["00200013"]["Value"][0] for each in found] == list(range(offset + 1, offset + 11))
    requests.clear()
    again = client.get(f"{PATH}/instances?limit=10&offset={offset}").json()
    assert again == found
    assert requests == {"GetObject": 1}


def test_one_instance_is_found_by_number_and_by_uid(client: Client, requests: Requests) -> None:
    """Told by the index: of five sidecars one is opened, for the answer."""
    client.get(f"{PATH}/instances?limit=1")
    for query in (f"InstanceNumber={4_321}", f"SOPInstanceUID={instance_uid(4_321)}"):
        requests.clear()
        (found,) = client.get(f"{PATH}/instances?{query}").json()
        assert found["00080018"]["Value"] == [instance_uid(4_321)]
        assert requests == {"GetObject": 1}


def test_metadata_are_all_instances_in_order_and_composed_once(client: Client, requests: Requests) -> None:
    """A viewer's first request: each sidecar is read once, and not again for the next viewer."""
    data = client.metadata(PATH)
    assert [each["00200013"]["Value"][0] for each in data] == list(range(1, SLICES + 1))
    requests.clear()
    assert client.metadata(PATH) == data
    assert requests["GetObject"] <= 1  # what is too large for the gateway is fetched from storage


def test_any_frame_is_one_range_of_its_pack(client: Client, requests: Requests) -> None:
    """The last slice is not farther than the first."""
    for number in (1, 2_501, SLICES):
        client.get(f"{PATH}/instances/{instance_uid(number)}/frames/1", "application/octet-stream; transfer-syntax=*")
        requests.clear()
        reply = client.get(
            f"{PATH}/instances/{instance_uid(number)}/frames/1",
            'multipart/related; type="application/octet-stream"; transfer-syntax=*',
        )
        (part,) = reply.parts()
        assert slice_number(part[1]) == number
        assert requests == {"GetObject": 1}


def test_the_whole_series_is_its_packs_joined(client: Client) -> None:
    """Every slice once, as it was sent."""
    reply = client.get(PATH, STORED)
    assert reply.status == 200
    joined = scan_pack(reply.body, limits=False)  # the standard library's parser takes minutes for so many parts
    whole = [reply.body[part.offset : part.offset + part.length] for part in joined.parts]
    assert [slice_number(each[-32:]) for each in whole] == list(range(1, SLICES + 1))
