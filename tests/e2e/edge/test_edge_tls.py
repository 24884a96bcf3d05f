"""DICOM over TLS with dcmtk's and Python's TLS: who is let in, who is not, and calls the other way."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support import raw_scu
from tests.support.certificates import Authority, Leaf
from tests.support.commitment_scu import CT, CommitmentSCU
from tests.support.processes import BIN, QUICK_TCP, free_port, wait_until
from tests.support.stub_cloud import StubCloud
from tests.support.stub_edge import AET, StubEdge, dataset_bytes, sent_dataset, write_series

pytestmark = pytest.mark.e2e


@dataclass
class TlsEdge:
    edge: StubEdge
    port: int
    ours: Authority
    strangers: Authority

    def storescu(self, *paths: Path, leaf: Leaf | None, ca: Path) -> subprocess.CompletedProcess[str]:
        """dcmtk over TLS 1.2 or 1.3, with a certificate or anonymously."""
        me = ["+tls", str(leaf.key), str(leaf.certificate)] if leaf else ["+tla"]
        return subprocess.run(
            ["storescu", "-v", *me, "+cf", str(ca), "-aec", AET, "127.0.0.1", str(self.port), *map(str, paths)],
            env=QUICK_TCP,
            capture_output=True,
            text=True,
            timeout=60,
        )


@pytest.fixture
def scu() -> Iterator[CommitmentSCU]:
    with CommitmentSCU(0, "THU-TLS") as scu:
        yield scu


@pytest.fixture
def secure(tmp_path: Path, cloud: StubCloud, scu: CommitmentSCU) -> Iterator[TlsEdge]:
    """An edge that listens by TLS alone, and takes callers of its authority alone."""
    ours, strangers = Authority(tmp_path / "ours"), Authority(tmp_path / "strangers", "Somebody's CA")
    leaf = ours.leaf("edge", days=45)
    edge = StubEdge(tmp_path / "edge", cloud, extra="retry_max_seconds = 0.3", devices=scu.device + "tls = true\n")
    port = free_port()
    text = edge.config.read_text()
    for name, value in {
        "certificate": f'"{leaf.certificate}"',
        "key": f'"{leaf.key}"',
        "port": str(port),
        "only": "true",
        "ca_file": f'"{ours.ca}"',
    }.items():
        head, _, section = text.partition("[tls]\n")
        lines = section.splitlines()
        at = next(n for n, line in enumerate(lines) if line.startswith(f"# {name} = "))
        text = f"{head}[tls]\n" + "\n".join([*lines[:at], f"{name} = {value}", *lines[at + 1 :], ""])
    edge.config.write_text(text)
    edge.port = port
    with edge:
        scu.edge_port = edge.port
        yield TlsEdge(edge, port, ours, strangers)


def test_mutual_tls_lets_in_whom_its_authority_knows(secure: TlsEdge, cloud: StubCloud, tmp_path: Path) -> None:
    """A known certificate stores, byte for byte; a stranger's, none at all, and a plain caller get nothing stored. The
    status knows when our certificate ends.
    """
    files = write_series(tmp_path / "in", 3, size=307_200)
    good = secure.storescu(*files, leaf=secure.ours.leaf("modality"), ca=secure.ours.ca)
    assert good.returncode == 0, good.stderr
    wait_until(lambda: not secure.edge.spooled(), what="an empty spool")
    assert [dataset_bytes(part.data) for part in cloud.parts()] == [sent_dataset(path) for path in files]
    stranger = secure.strangers.leaf("modality")
    assert secure.storescu(files[0], leaf=stranger, ca=secure.ours.ca).returncode != 0
    assert secure.storescu(files[0], leaf=None, ca=secure.ours.ca).returncode != 0
    assert secure.storescu(files[0], leaf=secure.ours.leaf("modality"), ca=secure.strangers.ca).returncode != 0
    assert raw_scu.send(secure.port, files[:1]) == {}
    assert len(cloud.parts()) == 3
    assert secure.edge.spooled() == []
    command = [BIN / "maypacs-edge", "check", "--config", secure.edge.config]
    checked = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert "our certificate is good for 4" in checked.stdout, checked.stdout
    assert secure.edge.status()["tls"] == {"port": secure.port, "certificate_days_left": pytest.approx(45, abs=0.1)}


def test_a_device_is_called_by_tls_and_must_show_who_it_is(
    secure: TlsEdge, cloud: StubCloud, scu: CommitmentSCU, tmp_path: Path
) -> None:
    """A storage commitment's report goes out by mutual TLS; a device with a stranger's certificate is not told."""
    files = write_series(tmp_path / "in", 1)
    assert secure.storescu(*files, leaf=secure.ours.leaf("modality"), ca=secure.ours.ca).returncode == 0
    as_stranger = _server(secure.strangers.leaf("device"), secure.ours.ca)
    scu.listen(as_stranger)
    uid, status = scu.ask([(CT, "2.25.11.1")], tls=_client(secure.ours.leaf("device"), secure.ours.ca))
    assert status == 0
    wait_until(lambda: "CERTIFICATE_VERIFY_FAILED" in _log(secure) or "self-signed" in _log(secure), what="a refusal")
    assert not scu.reports
    scu.close()
    scu.listen(_server(secure.ours.leaf("device"), secure.ours.ca))
    assert scu.wait(uid) == (1, ["2.25.11.1"], {}, "new")


def _log(secure: TlsEdge) -> str:
    lines = secure.edge.log.read_text().splitlines()
    return "\n".join(line for line in lines if "report was not taken" in line).replace("unable to get", "self-signed")


def _server(leaf: Leaf, ca: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(leaf.certificate, leaf.key)
    context.load_verify_locations(ca)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def _client(leaf: Leaf, ca: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_cert_chain(leaf.certificate, leaf.key)
    context.load_verify_locations(ca)
    context.check_hostname = False
    return context
