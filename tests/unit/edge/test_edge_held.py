"""What was compressed here the cloud may have as it came: it is asked for in both versions, by no request more."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.support.stub_cloud import ARCHIVE, KEY, StubCloud
from tests.support.stub_edge import write_ct

from edge_forwarder.cloud.client import Cloud
from edge_forwarder.cloud.inbox import Inbox
from edge_forwarder.config import CloudConfig, Credentials
from edge_forwarder.databases.journal import Journal, PackState
from edge_forwarder.databases.ledger import Ledger
from edge_forwarder.databases.sent import SentState
from edge_forwarder.dicom.peek import identify
from edge_forwarder.dicom.syntaxes import EXPLICIT_LITTLE_ENDIAN, JPEG_LS_LOSSLESS
from edge_forwarder.logs import Log
from edge_forwarder.spool.folder import Spool
from edge_forwarder.upload import held
from edge_forwarder.upload.compressor import Compressor
from edge_forwarder.upload.sender import Sender
from edge_forwarder.upload.settle import Settler


@dataclass
class Bench:
    """One edge's spool; each pack is sent by a sender that compresses, or one that does not."""

    folder: Path
    cloud: StubCloud
    kept: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.spool = Spool(self.folder / "spool")
        self.spool.open()
        self.journal = Journal.open(self.folder / "j.sqlite")
        self.ledger = Ledger.open(self.folder / "l.sqlite")
        self.log = Log(io.StringIO())
        self.client = Cloud(CloudConfig(url=self.cloud.url), Credentials(ARCHIVE, "edge-1", KEY))
        self.settler = Settler(self.spool, self.journal, self.log, self.ledger, Inbox(self.client))
        self.settler.keep = lambda member: self.kept.append(identify(self.spool.path(member.name)).transfer_syntax_uid)

    def close(self) -> None:
        self.client.close()
        self.journal.close()
        self.ledger.close()
        self.spool.close()

    def send(self, *numbers: int, rule: str = "none") -> list[str]:
        """The names of the files, when all is sent that has to be."""
        names = []
        for number in numbers:
            path = write_ct(self.folder / "in.dcm", sop=f"2.25.11.{number}", number=number, size=16 * 1024)
            writer = self.spool.begin("CT1")
            writer.write(path.read_bytes())
            file = writer.commit()
            identity = identify(self.spool.path(file.name))
            self.journal.add_instance(file.name, file.size, identity)
            self.ledger.add(file.name, "CT1", identity)
            names.append(file.name)
        self.journal.add_pack("p", names)
        compressor = Compressor(self.spool, self.journal, self.log, self.ledger, {}, rule)
        sender = Sender(
            ARCHIVE, self.spool, self.journal, self.client, self.settler, self.log, self.ledger, compressor=compressor
        )
        (pack,) = self.journal.packs(PackState.PACKED)
        if (sent := sender.send(pack)) is not None:
            for answer in Inbox(self.client).status([sent.arrival]):
                self.settler.heard("p", answer)
        return names

    def uploaded(self) -> list[list[tuple[str, str]]]:
        """UID's last number and transfer syntax of each instance of each pack."""
        return [[(part.sop.rpartition(".")[2], part.transfer_syntax_uid) for part in p] for p in self.cloud.packs()]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with StubCloud() as cloud:
        bench = Bench(tmp_path, cloud)
        yield bench
        bench.close()


@pytest.mark.parametrize("says_which", [True, False], ids=["", "a cloud of an earlier version"])
def test_an_original_that_the_cloud_has_is_not_sent_compressed(bench: Bench, *, says_which: bool) -> None:
    """It was sent before there was a rule, or by another edge. The cache keeps what the cloud would give, no other."""
    bench.cloud.says_which = says_which
    bench.send(1, 2)
    bench.kept.clear()
    asked = bench.cloud.seen("uploads")
    names = bench.send(1, 2, rule="jpeg-ls")
    assert bench.journal.facts()["compressed"] == 2
    assert len(bench.uploaded()) == 1
    assert (bench.cloud.seen("uploads"), bench.cloud.seen("known")) == (asked + 1, 0)
    assert bench.ledger.states(names) == dict.fromkeys(names, SentState.INDEXED)
    assert not list(bench.spool.files())
    assert bench.kept == ([] if says_which else [JPEG_LS_LOSSLESS] * 2)


def test_each_is_known_in_the_version_that_is_there(bench: Bench) -> None:
    """Of four the cloud has one as it came, one compressed, one with other bytes; only these and the new one go."""
    bench.send(1)
    bench.send(2, rule="jpeg-ls")
    bench.cloud.deleted.add("2.25.11.3")
    bench.send(3)
    bench.kept.clear()
    bench.send(1, 2, 3, 4, rule="jpeg-ls")
    assert bench.uploaded()[3:] == [[("3", JPEG_LS_LOSSLESS), ("4", JPEG_LS_LOSSLESS)]]
    assert bench.journal.facts()["known"] == 2
    assert bench.kept == [JPEG_LS_LOSSLESS] * 3


def test_of_what_is_not_compressed_only_that_is_asked(bench: Bench) -> None:
    bench.send(1, rule="jpeg-ls")
    bench.send(1)
    assert bench.uploaded() == [[("1", JPEG_LS_LOSSLESS)], [("1", EXPLICIT_LITTLE_ENDIAN)]]


def test_a_cloud_that_does_not_look_takes_it(bench: Bench) -> None:
    """One of a still earlier version."""
    bench.cloud.looks = False
    bench.send(1)
    bench.send(1, rule="jpeg-ls")
    assert bench.uploaded()[1:] == [[("1", JPEG_LS_LOSSLESS)]]


def test_more_versions_than_one_question_takes_are_asked_with_the_next_request(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That request is made anyway, for what is left. No question is ever larger than an earlier cloud takes."""
    monkeypatch.setattr(held, "ASKED", 4)
    bench.send(1, 2, 3, 4, 5)
    bench.send(1, 2, 3, 4, 5, 6, rule="jpeg-ls")
    assert bench.uploaded()[1:] == [[("6", JPEG_LS_LOSSLESS)]]
    assert (bench.cloud.seen("uploads"), bench.journal.facts()["known"]) == (1 + 4, 5)
