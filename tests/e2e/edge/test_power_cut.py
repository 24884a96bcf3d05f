"""A power cut at every moment: what the edge had acknowledged is on the disk, and it goes on from what is there."""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import power_cut, raw_scu
from tests.support.power_cut import Call, Disk, Survives
from tests.support.processes import QUICK_TCP, wait_until
from tests.support.stub_cloud import StubCloud
from tests.support.stub_edge import AET, StubEdge, dataset_bytes, sent_dataset, write_series

from edge_forwarder.databases.ledger import Ledger
from edge_forwarder.databases.sent import SentState

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

SERIES = "2.25.11"
CUTS: dict[Survives, int] = {"synced": 2, "names": 2, "random": 6}


def acknowledged(call: Call, port: int) -> str | None:
    """The SOPInstanceUID, when this call sends a C-STORE response of status success (PS3.7 9.3.1.2)."""
    if not call.begun or f":{port}->" not in call.socket or call.data[:1] != b"\4":
        return None
    values, at = {}, 12
    while at + 8 <= len(call.data):
        _, element, length = struct.unpack_from("<HHI", call.data, at)
        values[element] = call.data[at + 8 : at + 8 + length]
        at += 8 + length
    if values.get(0x0100) != b"\x01\x80" or values.get(0x0900) != b"\0\0":
        return None
    return values[0x1000].rstrip(b"\0").decode()


@pytest.fixture(scope="module")
def story(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[StubEdge, StubCloud, dict[str, bytes], list[Call]]]:
    """An edge's life from its first start, recorded: images come, some go up, some wait, the cloud is away and back."""
    folder = tmp_path_factory.mktemp("story")
    with StubCloud() as cloud:
        edge = StubEdge(folder / "edge", cloud)
        before = {str(path): path.read_bytes() for path in edge.folder.rglob("*") if path.is_file()}
        command = edge.command
        edge.command = [*power_cut.traced(folder / "trace"), *command]
        edge.run()
        files = write_series(folder / "in", 48, series=SERIES)
        for at in range(0, 24, 8):
            assert set(raw_scu.send(edge.port, files[at : at + 8]).values()) == {0}
        wait_until(lambda: not edge.spooled(), what="an empty spool")
        cloud.go_away()
        assert set(raw_scu.send(edge.port, files[24:40]).values()) == {0}
        cloud.come_back()
        assert set(raw_scu.send(edge.port, files[40:]).values()) == {0}
        wait_until(lambda: not edge.spooled(), what="an empty spool")
        edge.kill()
        edge.command = command
        yield edge, cloud, before, list(power_cut.read(folder / "trace"))


def images(disk: Disk, survives: Survives, dice: random.Random) -> set[bytes]:
    """The data sets that a cut leaves in received/."""
    return {dataset_bytes(data) for data in disk.after(survives, dice, "/received/").values() if len(data) > 144}


@pytest.mark.parametrize("survives", ["synced", "names", "random"])
def test_at_every_moment_what_was_acknowledged_is_on_the_disk(
    story: tuple[StubEdge, StubCloud, dict[str, bytes], list[Call]], tmp_path: Path, survives: Survives
) -> None:
    """From the answer on, until the edge itself deletes it because the cloud has it."""
    edge, _, before, calls = story
    data_sets = {f"{SERIES}.{n}": sent_dataset(p) for n, p in enumerate(write_series(tmp_path, 48, series=SERIES), 1)}
    disk, dice = Disk(edge.folder, before), random.Random(1)
    owed: dict[bytes, str] = {}
    answers = 0
    for call in calls:
        if (uid := acknowledged(call, edge.port)) is not None:
            owed[data_sets[uid]] = uid
            answers += 1
            # Nothing more has to happen for it to be safe.
            assert set(owed) <= images(disk, survives, dice)
        if call.name.startswith("unlink") and "/received/" in call.place:
            deleted = {dataset_bytes(disk.after("names", dice, call.place)[call.place])} if call.begun else set()
            owed = {data: uid for data, uid in owed.items() if data not in deleted}
        disk.take(call)
        if call.name in ("fsync", "fdatasync", "unlink", "rename"):
            assert set(owed) <= images(disk, survives, dice)
    assert answers == 48
    assert len(owed) < 24


def test_the_model_of_the_disk_is_true(story: tuple[StubEdge, StubCloud, dict[str, bytes], list[Call]]) -> None:
    """With everything that was written, synced or not, it holds what the disk holds."""
    edge, _, before, calls = story
    disk = Disk(edge.folder, before)
    for call in calls:
        disk.take(call)
    found = [path for path in sorted((edge.folder / "spool").rglob("*.sqlite*")) if not path.name.endswith("-shm")]
    assert len(found) == 4
    assert {str(path): path.read_bytes() for path in found}.items() <= disk.everything().items()


@pytest.mark.parametrize("survives", ["synced", "names", "random"])
def test_the_edge_goes_on_from_what_a_cut_left(
    story: tuple[StubEdge, StubCloud, dict[str, bytes], list[Call]], survives: Survives
) -> None:
    """Journal, ledger and files disagree after a cut, and no harm comes of it: what is in the cloud is not missed, what
    is not goes up, and no promise is broken.
    """
    edge, cloud, before, calls = story
    dice = random.Random(survives)
    ends = [
        n for n, call in enumerate(calls) if call.ended and call.name in ("unlink", "rename", "fdatasync", "sendto")
    ]
    for cut in sorted(dice.sample(ends, CUTS[survives])):
        disk, taken = Disk(edge.folder, before), set()
        for call in calls[:cut]:
            disk.take(call)
            if (uid := acknowledged(call, edge.port)) is not None:
                taken.add(uid)
        shutil.rmtree(edge.folder)
        edge.folder.mkdir()
        for path, data in disk.after(survives, dice).items():
            if not path.endswith("-shm"):  # memory, not disk
                Path(path).parent.mkdir(parents=True, exist_ok=True)
                Path(path).write_bytes(data)
        edge.run()
        wait_until(lambda: not edge.spooled(), what="an empty spool")
        report = edge.status()
        edge.kill()
        assert report["totals"]["missing"] == 0
        assert report["attention"] == []
        assert not list((edge.folder / "spool").glob("*.unreadable*"))
        assert {part.sop for part in cloud.parts()} >= taken
        ledger = Ledger.open(edge.folder / "spool" / "ledger.sqlite")
        assert {sent.state for uid in taken for sent in ledger.sent(uid)} <= {SentState.INDEXED}
        ledger.close()


def test_what_a_cut_leaves_of_the_cache_is_whole(tmp_path: Path, cloud: StubCloud) -> None:
    """Else half an image would be sent to a workstation, as a success. A series comes as one message, an image as one
    of its own.
    """
    devices = '\n[[device]]\nae_title = "WS1"\nrights = ["retrieve"]\n'
    edge = StubEdge(tmp_path / "edge", cloud, extra="keep_uploaded = false", devices=devices)
    before = {str(path): path.read_bytes() for path in edge.folder.rglob("*") if path.is_file()}
    edge.command = [*power_cut.traced(tmp_path / "trace"), *edge.command]
    edge.run()
    files = write_series(tmp_path / "in", 12, series=SERIES) + write_series(tmp_path / "one", 1, series="2.25.12")
    assert set(raw_scu.send(edge.port, files).values()) == {0}
    wait_until(lambda: not edge.spooled(), what="an empty spool")
    (tmp_path / "got").mkdir()
    command = ["getscu", "-S", "-aet", "WS1", "-aec", AET, "-od", str(tmp_path / "got"), "127.0.0.1", str(edge.port)]
    command += ["-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=2.25.1"]
    subprocess.run(command, env=QUICK_TCP, check=True, timeout=60)
    assert len(list((tmp_path / "got").iterdir())) == 13
    edge.kill()
    whole = {sent_dataset(path) for path in files}
    disk, dice, left = Disk(edge.folder, before), random.Random(1), set()
    for call in power_cut.read(tmp_path / "trace"):
        disk.take(call)
        if call.name.startswith(("rename", "write", "fsync")) and "/cache/" in call.place:
            found = disk.after("names", dice, "/cache/")
            left |= {dataset_bytes(data) if data else b"" for path, data in found.items() if path.endswith(".dcm")}
    assert left == whole
