"""What is done once and counted: a study comes in, a doctor looks at it, a program fetches it, nobody does anything."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from types import SimpleNamespace

from tests.bench.cost.studies import Image, Kind, images
from tests.bench.cost.world import HOSP, World

from edge_forwarder.config.packing import PackingConfig
from edge_forwarder.dicom.peek import Identity
from edge_forwarder.packing import planner
from edge_forwarder.upload import watcher
from maypacs.pack.grammar import Instance, write_pack

#: From the upload to *indexed*, in seconds: S3's event "typically in seconds", then ingest.
SECONDS_TO_INDEXED = 3.0
STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
FRAME = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
JSON = "application/dicom+json"


def status_polls(seconds: float = SECONDS_TO_INDEXED) -> int:
    """How often an edge that has learnt the cloud's pace asks until an upload is indexed, when it asks for it alone."""
    pace = watcher.Pace(seconds)
    polls, at, pause = 1, pace.first, pace.second
    while at < seconds:
        polls, at, pause = polls + 1, at + pause, 2 * pause
    return polls


def packs(kind: Kind, number: int) -> Iterator[list[Image]]:
    """As the edge packs them: by its own planner, with the settings that it comes with."""
    packing = PackingConfig()
    limits = planner.Limits(quiet_by_modality=packing.quiet_seconds_by_modality, longest=packing.longest_seconds)
    plan, waiting = planner.Planner(limits), {}
    for at, image in enumerate(images(kind, number)):
        now = at * kind.seconds_apart
        closed = list(plan.due(now))
        waiting[image.instance] = image
        identity = Identity(
            study_instance_uid=image.study,
            series_instance_uid=image.series,
            sop_instance_uid=image.instance,
            sop_class_uid=kind.sop_class,
            transfer_syntax_uid="1.2.840.10008.1.2.1",
            modality=kind.modality,
            instance_number=image.number,
        )
        association = at if kind.seconds_apart else 0
        closed += plan.add(planner.Received(image.instance, len(image.data), identity, association), now)
        if kind.seconds_apart:
            closed += plan.association_ended(association)
        for pack in closed:
            yield [waiting.pop(member.name) for member in pack.members]
    for pack in (*plan.association_ended(0), *plan.close_all()):
        yield [waiting.pop(member.name) for member in pack.members]
    assert not waiting


def ingest(world: World, kind: Kind, number: int, edge: str) -> SimpleNamespace:
    """A study from the edge to the last row. What the edge asks of the console, it asks here as it does there."""
    study = boundary = ""
    members: list[Image] = []
    for pack in packs(kind, number):
        if pack[0].study != study:
            study = pack[0].study
            asked = {"study_instance_uids": [study]}
            boundary = world.ask("POST", "/api/archives/hosp1/boundaries", asked, key=edge).json()["boundaries"][study]
        body = write_pack(
            [Instance(i.data, "1.2.840.10008.1.2.1", i.study, i.series, i.instance) for i in pack],
            archive_id=HOSP,
            secret=world.pack_secret,
        )
        assert body.boundary == boundary
        wanted = {
            "length": len(body.data),
            "sha256": hashlib.sha256(body.data).hexdigest(),
            "content_type": body.content_type,
            **named(pack),
        }
        grant = world.ask("POST", "/api/archives/hosp1/uploads", wanted, key=edge).json()
        world.put(grant["url"], grant["headers"], body.data)
        for _ in range(status_polls() - 1):
            status(world, grant["arrival"], edge, "pending")
        world.deliver(f"hosp1/uploads/{grant['arrival']}", len(body.data))
        status(world, grant["arrival"], edge, "indexed")
        members += [Image(i.study, i.series, i.instance, i.number, b"") for i in pack]
    return SimpleNamespace(study=study, images=members, series=list(dict.fromkeys(i.series for i in members)))


def named(pack: list[Image]) -> dict[str, object]:
    """Of each body the edge says what is in it: what the cloud has need not be sent."""
    return {
        "study_instance_uid": pack[0].study,
        "series_instance_uid": pack[0].series,
        "instances": [
            {
                "sop_instance_uid": image.instance,
                "transfer_syntax_uid": "1.2.840.10008.1.2.1",
                "sha256": hashlib.sha256(image.data).hexdigest(),
            }
            for image in pack
        ],
    }


def status(world: World, arrival: str, edge: str, expected: str) -> None:
    found = world.ask("POST", "/api/archives/hosp1/uploads/status", {"arrivals": [arrival]}, key=edge).json()
    assert found["uploads"][0]["state"] == expected, found


def search(world: World) -> list[str]:
    """A page of the dashboard's list: where the thumbnails of its rows are."""
    page = world.ask("POST", "/api/archives/hosp1/search", {"limit": 50}).json()["studies"]
    return [found["thumbnail"] for found in page]


def list_thumbnails(world: World, thumbnails: list[str]) -> None:
    """Those of its rows, which a browser then keeps."""
    for thumbnail in thumbnails:
        world.ask("GET", thumbnail, accept="image/jpeg")


def view_by_frames(world: World, done: SimpleNamespace) -> None:
    """A doctor opens the study in a viewer such as OHIF: all of it, every frame by itself."""
    root = _open(world, done)
    for image in done.images:
        world.ask("GET", f"{root}/series/{image.series}/instances/{image.instance}/frames/1", accept=FRAME)


def view_by_packs(world: World, done: SimpleNamespace) -> None:
    """The same in the dashboard's viewer, which streams the packs: few requests, the bytes from storage."""
    _open(world, done)
    for series in done.series:
        found = world.ask("GET", f"/api/archives/hosp1/studies/{done.study}/series/{series}/packs").json()
        for pack in found["packs"]:
            world.blob(pack["url"])


def _open(world: World, done: SimpleNamespace) -> str:
    """Overview, and of each series thumbnail and metadata."""
    world.ask("GET", f"/api/archives/hosp1/studies/{done.study}")
    root = f"/dicomweb/hosp1/studies/{done.study}"
    for series in done.series:
        world.ask("GET", f"{root}/series/{series}/thumbnail", accept="image/jpeg")
        world.ask("GET", f"{root}/series/{series}/metadata", accept=JSON)
    return root


def retrieve(world: World, done: SimpleNamespace) -> None:
    """A program of a third party: it finds the study and fetches it whole."""
    world.ask("GET", "/dicomweb/hosp1/studies", query={"StudyInstanceUID": done.study}, accept=JSON)
    world.ask("GET", f"/dicomweb/hosp1/studies/{done.study}", accept=STORED)


def compaction(world: World) -> None:
    """Two days later the quiet series' small packs become one; three days after that the old ones go."""
    world.compact(48)
    world.compact(48 + 72)


def idle_hour(world: World, calls_an_hour: Mapping[str, int]) -> None:
    """Every function that has a schedule, as often as that says."""
    for name, times in calls_an_hour.items():
        for _ in range(times):
            world.scheduled(name)


def heartbeat(world: World) -> None:
    """What an edge of ten devices says of itself."""
    devices = [
        {"ae_title": f"KHOA-CDHA-CT{n:02}", "modality": "CT", "image_at": 1_795_000_000 + n, "echo_at": 1_795_000_200}
        for n in range(10)
    ]
    said = {"version": "0.1.1", "cpu_percent": 17.3, "disk_free": 812_345_678_901, "waiting": 12, "devices": devices}
    world.ask("POST", "/api/archives/hosp1/heartbeats", said, key=world.edge)
