"""A disk that does not give back what it was given: the image is told of, and those beside it go up."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.processes import wait_until
from tests.support.stub_cloud import ARCHIVE, KEY, Fault, StubCloud
from tests.support.stub_edge import StubEdge, dataset_bytes, sent_dataset, write_ct, write_series

from edge_forwarder.cloud.client import Cloud
from edge_forwarder.config import CloudConfig, Credentials
from edge_forwarder.databases.journal import Journal
from edge_forwarder.databases.ledger import Ledger
from edge_forwarder.databases.sent import SentState
from edge_forwarder.dicom.peek import identify
from edge_forwarder.errors import SpoolError
from edge_forwarder.logs import Log
from edge_forwarder.spool import attention
from edge_forwarder.spool.folder import Spool
from edge_forwarder.upload import soundness
from edge_forwarder.upload.sender import Sender
from edge_forwarder.upload.settle import Settler

pytestmark = pytest.mark.e2e


def rot(path: Path) -> None:
    """One bit, far from the header: neither name nor length tells."""
    with path.open("r+b") as file:
        file.seek(-7, os.SEEK_END)
        byte = file.read(1)[0]
        file.seek(-7, os.SEEK_END)
        file.write(bytes([byte ^ 1]))


def test_an_image_that_rots_while_it_waits_stays_and_the_others_go(
    edge: StubEdge, cloud: StubCloud, tmp_path: Path
) -> None:
    """Storage does not take what is not what was granted. The image is named in the status, and goes when told to."""
    files = write_series(tmp_path / "in", 4)
    with cloud.always(Fault(500), "put", "status"):
        assert edge.storescu(*files).returncode == 0
        wait_until(lambda: cloud.seen("put") >= 1, what="a body that was granted")
        bad = next(
            edge.received / name for name in edge.spooled() if identify(edge.received / name).instance_number == 2
        )
        rot(bad)
    wait_until(lambda: not edge.spooled(), what="an empty spool")
    assert [dataset_bytes(part.data) for part in cloud.parts()] == [sent_dataset(files[n]) for n in (0, 2, 3)]
    (entry,) = edge.status()["attention"]
    assert (entry["state"], entry["instances"], entry["reasons"]) == ("unreadable", 1, [soundness.SPOILT])


class Local:
    """The sending half of an edge, in this process: packs of images that were received."""

    def __init__(self, folder: Path, cloud: StubCloud) -> None:
        self.spool = Spool(folder / "spool")
        self.spool.open()
        self.journal = Journal.open(folder / "journal.sqlite")
        self.ledger = Ledger.open(folder / "ledger.sqlite")
        log = Log(io.StringIO())
        self.cloud = Cloud(CloudConfig(url=cloud.url), Credentials(ARCHIVE, "edge", KEY))
        self.settler = Settler(self.spool, self.journal, log, self.ledger)
        self.sender = Sender(ARCHIVE, self.spool, self.journal, self.cloud, self.settler, log, self.ledger)

    def received(self, pack: str, *paths: Path) -> list[str]:
        """The names of its files."""
        names = []
        for path in paths:
            writer = self.spool.begin("THU-CT1")
            writer.write(path.read_bytes())
            file = writer.commit()
            identity = identify(self.spool.path(file.name))
            self.journal.add_instance(file.name, file.size, identity)
            self.ledger.add(file.name, "THU-CT1", identity)
            names.append(file.name)
        self.journal.add_pack(pack, names)
        return names

    def send(self, pack: str) -> bool:
        """Whether something went."""
        row = self.journal.pack(pack)
        assert row is not None
        return self.sender.send(row) is not None

    def aside(self) -> list[str]:
        return [path.name for path in self.spool.attention.glob("*/*.dcm")]

    def close(self) -> None:
        self.cloud.close()
        self.journal.close()
        self.ledger.close()
        self.spool.close()


@pytest.fixture
def local(tmp_path: Path, cloud: StubCloud) -> Iterator[Local]:
    local = Local(tmp_path / "local", cloud)
    yield local
    local.close()


class SickDisk:
    """Reading one file fails."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, path: Path, number: int) -> None:
        read = Path.open

        def fail(self: Path, *args: object, **more: object) -> object:
            if self == path:
                raise OSError(number, os.strerror(number))
            return read(self, *args, **more)  # type: ignore[call-overload]

        monkeypatch.setattr(Path, "open", fail)


@pytest.mark.parametrize("sent_before", [False, True])
def test_an_image_that_cannot_be_read_leaves_its_pack(
    local: Local, cloud: StubCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sent_before: bool
) -> None:
    """Not at once, for a disk may have a bad moment; whether its pack's digest was taken before or not."""
    files = write_series(tmp_path / "in", 3)
    names = local.received("p", *files)
    if sent_before:
        cloud.fail("put", Fault(500))
        with pytest.raises(Exception, match="500"):
            local.send("p")
    SickDisk(monkeypatch, local.spool.path(names[1]), errno.EIO)
    for _ in range(soundness.FAILURES):
        with pytest.raises((OSError, SpoolError)):
            local.send("p")
        assert local.aside() == []
    assert local.send("p")
    monkeypatch.undo()
    assert [dataset_bytes(part.data) for part in cloud.parts()] == [sent_dataset(files[n]) for n in (0, 2)]
    assert local.aside() == [names[1]]
    assert local.ledger.states(names)[names[1]] == SentState.REFUSED
    assert [member.name for member in local.journal.members("p")] == [names[0], names[2]]
    assert local.journal.names() == {names[0], names[2]}


def test_a_pack_of_nothing_else_is_over(
    local: Local, cloud: StubCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One large image, for one."""
    (name,) = local.received("p", write_ct(tmp_path / "a.dcm", sop="2.25.3"))
    SickDisk(monkeypatch, local.spool.path(name), errno.EIO)
    for _ in range(soundness.FAILURES):
        with pytest.raises(OSError, match="Input/output"):
            local.send("p")
    assert not local.send("p")
    assert (local.aside(), local.journal.pack("p"), local.journal.names()) == ([name], None, set())


@pytest.mark.parametrize("number", [errno.EMFILE, errno.EACCES, errno.EPERM])
def test_what_is_the_machines_fault_is_no_files(
    local: Local, cloud: StubCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    """Too many open files, or a wrong chown: nothing is set aside, however long it lasts."""
    names = local.received("p", *write_series(tmp_path / "in", 2))
    with monkeypatch.context() as ill:
        SickDisk(ill, local.spool.path(names[1]), number)
        for _ in range(2 * soundness.FAILURES):
            with pytest.raises(OSError, match=os.strerror(number)):
                local.send("p")
    assert local.send("p")
    assert (local.aside(), len(cloud.parts())) == ([], 2)


def test_damage_on_the_way_is_no_files_fault(local: Local, cloud: StubCloud, tmp_path: Path) -> None:
    """Every file is what it was: it goes again, whole."""
    names = local.received("p", *write_series(tmp_path / "in", 2))
    cloud.fail("put", Fault(400))
    with pytest.raises(Exception, match="400"):
        local.send("p")
    assert local.send("p")
    assert (local.aside(), len(cloud.parts()), len(local.journal.members("p"))) == ([], 2, 2)
    assert set(local.ledger.states(names).values()) == {SentState.SPOOLED}


@pytest.mark.parametrize("where", ["pixels", "meta", "length"])
def test_a_file_that_is_not_what_it_was_leaves_its_pack(
    local: Local, cloud: StubCloud, tmp_path: Path, where: str
) -> None:
    """Whatever of it changed; also when the cloud says so itself, as it does of what came in parts."""
    files = write_series(tmp_path / "in", 3)
    names = local.received("p", *files)
    cloud.fail("put", Fault(500))
    with pytest.raises(Exception, match="500"):
        local.send("p")
    path = local.spool.path(names[0])
    if where == "pixels":
        rot(path)
    elif where == "meta":
        data = path.read_bytes()
        path.write_bytes(data.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.5\0", 1))
    else:
        path.write_bytes(path.read_bytes()[:-100])
    local.sender.doubt("p")
    assert local.send("p")
    assert [dataset_bytes(part.data) for part in cloud.parts()] == [sent_dataset(files[n]) for n in (1, 2)]
    assert local.aside() == [names[0]]


@pytest.mark.parametrize("lost", ["journal", "digest of the pack"])
def test_what_rots_after_its_digest_never_goes_up(local: Local, cloud: StubCloud, tmp_path: Path, lost: str) -> None:
    """The journal may be new, or the pack another one: the ledger knows what the device sent, and is asked."""
    files = write_series(tmp_path / "in", 3)
    names = local.received("p", *files)
    cloud.fail("put", Fault(500))
    with pytest.raises(Exception, match="500"):
        local.send("p")
    rot(local.spool.path(names[1]))
    if lost == "journal":
        local.journal.forget_pack("p")
        for name in names:
            path = local.spool.path(name)
            local.journal.add_instance(name, path.stat().st_size, identify(path))
        local.journal.add_pack("p", names)
    else:
        local.journal.update_pack("p", sha256=None, length=None, arrival=None)
    with pytest.raises(SpoolError, match="not what it was"):
        local.send("p")
    assert local.send("p")
    assert [dataset_bytes(part.data) for part in cloud.parts()] == [sent_dataset(files[n]) for n in (0, 2)]
    assert local.aside() == [names[1]]
    assert local.ledger.states(names)[names[1]] == SentState.REFUSED


def test_a_file_that_was_cut_short_before_it_was_ever_sent_does_not_go(
    local: Local, cloud: StubCloud, tmp_path: Path
) -> None:
    """No digest of it is known, its length is."""
    files = write_series(tmp_path / "in", 2)
    names = local.received("p", *files)
    path = local.spool.path(names[0])
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SpoolError, match="size"):
        local.send("p")
    assert local.send("p")
    assert [dataset_bytes(part.data) for part in cloud.parts()] == [sent_dataset(files[1])]
    assert local.aside() == [names[0]]


@pytest.mark.parametrize("of", [1, 3])
def test_what_is_spoilt_and_cannot_be_set_aside_now_is_later(
    local: Local, cloud: StubCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of: int
) -> None:
    """The disk is full: what is beside it goes up at once; it never does, and is not forgotten."""
    files = write_series(tmp_path / "in", of)
    names = local.received("p", *files)
    cloud.fail("put", Fault(500))
    with pytest.raises(Exception, match="500"):
        local.send("p")
    rot(local.spool.path(names[0]))
    local.sender.doubt("p")
    again = list[str]()
    local.settler.upload_again = lambda pack, delay: again.append(pack)
    local.settler.doubted = local.sender.doubt
    with monkeypatch.context() as ill:
        ill.setattr(attention, "write_reason", _no_space)
        if of == 1:
            with pytest.raises(OSError, match="No space"):
                local.send("p")
            again.append("p")  # as the uploader does
        else:
            assert local.send("p")
    (pack,) = again
    assert [member.name for member in local.journal.members(pack)] == [names[0]]
    assert not local.send(pack)
    assert [dataset_bytes(part.data) for part in cloud.parts()] == [sent_dataset(file) for file in files[1:]]
    assert (local.aside(), local.journal.pack(pack)) == ([names[0]], None)
    assert len(list(local.spool.attention.iterdir())) == 1


def _no_space(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
