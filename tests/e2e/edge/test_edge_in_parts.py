"""Large images over a bad line: in parts, and on from where it broke off."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from tests.support import raw_scu
from tests.support.processes import wait_until
from tests.support.stub_cloud import PART_BYTES, Fault, StubCloud, Upload
from tests.support.stub_edge import StubEdge, dataset_bytes, sent_dataset, write_ct

pytestmark = pytest.mark.e2e

#: So many parts the image of these tests has.
PARTS = 7
EXTRA = "in_parts_above_mib = 1"


def large(folder: Path, sop: str = "2.25.11.1") -> Path:
    return write_ct(folder / f"{sop}.dcm", sop=sop, size=6 * 1024 * 1024 + 512 * 1024)


def arrived_whole(cloud: StubCloud, path: Path) -> bool:
    return [dataset_bytes(part.data) for part in cloud.parts()] == [sent_dataset(path)]


@pytest.mark.parametrize(
    ("route", "fault"),
    [
        pytest.param("part", Fault(), id="the line is cut"),
        pytest.param("part", Fault(after=True), id="an answer is lost"),
        pytest.param("part", Fault(403), id="a grant has expired"),
        pytest.param("part", Fault(500), id="a part fails"),
        pytest.param("part", Fault(400, body=b"<Error><Code>RequestTimeout</Code></Error>"), id="storage waited long"),
        pytest.param("parts", Fault(503, (("Retry-After", "0"),)), id="grants are refused for a while"),
        pytest.param("in-parts", Fault(after=True), id="the answer to the beginning is lost"),
        pytest.param("complete", Fault(after=True), id="the answer to the end is lost"),
        pytest.param("complete", Fault(409), id="the end is refused"),
    ],
)
def test_no_part_that_arrived_is_sent_again(tmp_path: Path, cloud: StubCloud, route: str, fault: Fault) -> None:
    """One request fails once; the image arrives whole, by one part's more traffic at most."""
    faults = iter([None, None, fault] if route in ("part", "parts") else [fault])
    cloud.standing_fault = lambda asked: next(faults, None) if asked == route else None
    path = large(tmp_path / "in")
    with StubEdge(tmp_path / "edge", cloud, extra=EXTRA) as edge:
        assert raw_scu.send(edge.port, [path]) == {path: 0}
        wait_until(lambda: not edge.spooled(), what="an empty spool")
        assert arrived_whole(cloud, path)
        assert PARTS <= cloud.seen("part") <= PARTS + 1
        assert cloud.seen("put") == 0


def test_a_killed_edge_goes_on_with_the_next_part(tmp_path: Path, cloud: StubCloud) -> None:
    """kill -9 in the fourth part: three are not sent again."""
    stuck, go_on = threading.Event(), threading.Event()

    def hang(number: int) -> None:
        if number == 4 and not go_on.is_set():
            stuck.set()
            go_on.wait(30)

    cloud.before_part = hang
    path = large(tmp_path / "in")
    with StubEdge(tmp_path / "edge", cloud, extra=EXTRA) as edge:
        assert raw_scu.send(edge.port, [path]) == {path: 0}
        assert stuck.wait(30)
        edge.kill()
        sent_before = cloud.seen("part")
        go_on.set()
        edge.run()
        wait_until(lambda: not edge.spooled(), what="an empty spool")
        assert arrived_whole(cloud, path)
        # The fourth may have arrived after all, from a process that was dead by then.
        assert sent_before == 4
        assert cloud.seen("part") - sent_before in (PARTS - 4, PARTS - 3)


def test_a_pack_that_broke_off_goes_on_in_parts(tmp_path: Path, cloud: StubCloud) -> None:
    """What is not large goes as one, and in parts only after that failed."""
    path = write_ct(tmp_path / "in.dcm", sop="2.25.11.1", size=9 * 1024 * 1024)
    cloud.fail("put", Fault())
    with StubEdge(tmp_path / "edge", cloud) as edge:
        assert raw_scu.send(edge.port, [path]) == {path: 0}
        wait_until(lambda: not edge.spooled(), what="an empty spool")
    assert arrived_whole(cloud, path)
    assert (cloud.seen("put"), cloud.seen("part")) == (1, 10)


def test_a_cloud_that_knows_no_parts_gets_it_as_one(tmp_path: Path, cloud: StubCloud) -> None:
    """An older one answers 404."""
    path = large(tmp_path / "in")
    with cloud.always(Fault(404), "in-parts"), StubEdge(tmp_path / "edge", cloud, extra=EXTRA) as edge:
        assert raw_scu.send(edge.port, [path]) == {path: 0}
        wait_until(lambda: not edge.spooled(), what="an empty spool")
        assert arrived_whole(cloud, path)
        assert (cloud.seen("put"), cloud.seen("part")) == (1, 0)


def test_what_arrived_damaged_is_sent_again(tmp_path: Path, cloud: StubCloud) -> None:
    """The parts were right and the whole was not: the cloud kept it aside, the file is still here."""

    def judge(upload: Upload) -> None:
        if len(cloud.stored()) == 1:
            upload.state, upload.reason = "quarantined", "damaged-on-the-way"

    cloud.decide = judge
    path = large(tmp_path / "in")
    with StubEdge(tmp_path / "edge", cloud, extra=EXTRA) as edge:
        assert raw_scu.send(edge.port, [path]) == {path: 0}
        wait_until(lambda: not edge.spooled(), what="an empty spool")
        assert [upload.length for upload in cloud.stored()] == [upload.length for upload in cloud.stored()][:1] * 2
        assert not edge.status()["attention"]
    assert -(-cloud.stored()[0].length // PART_BYTES) == PARTS
