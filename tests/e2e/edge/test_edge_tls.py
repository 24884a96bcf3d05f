"""DICOM over TLS with dcmtk's and Python's TLS: who is let in, who is not, and calls the other way."""

from __future__ import annotations

import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian
from pynetdicom import AE, build_role, evt
from pynetdicom.sop_class import StudyRootQueryRetrieveInformationModelGet, StudyRootQueryRetrieveInformationModelMove
from tests.support import raw_scu
from tests.support.certificates import Leaf
from tests.support.commitment_scu import CT, CommitmentSCU
from tests.support.ports import ReservedPort
from tests.support.processes import BIN, QUICK_TCP, Child, wait_until
from tests.support.stub_cloud import StubCloud
from tests.support.stub_edge import AET, dataset_bytes, sent_dataset, write_series
from tests.support.tls_edge import TlsEdge, tls_edge

pytestmark = pytest.mark.e2e


@pytest.fixture
def scu() -> Iterator[CommitmentSCU]:
    with CommitmentSCU(0, "THU-TLS") as scu:
        yield scu


@pytest.fixture
def secure(tmp_path: Path, cloud: StubCloud, scu: CommitmentSCU) -> Iterator[TlsEdge]:
    """An edge that listens by TLS alone, and takes callers of its authority alone."""
    secure = tls_edge(tmp_path, cloud, scu.device + 'tls = true\nstores_as = ["STORESCU"]\n')
    with secure.edge:
        scu.edge_port = secure.port
        yield secure


def test_mutual_tls_lets_in_whom_its_authority_knows(secure: TlsEdge, cloud: StubCloud, tmp_path: Path) -> None:
    """A known certificate stores, byte for byte; a stranger's, none at all, and a plain caller get nothing stored. The
    status knows when our certificate ends.
    """
    files = write_series(tmp_path / "in", 3, size=307_200)
    good = secure.run("storescu", *files, leaf=secure.ours.leaf("modality"))
    assert good.returncode == 0, good.stderr
    wait_until(lambda: not secure.edge.spooled(), what="an empty spool")
    assert [dataset_bytes(part.data) for part in cloud.parts()] == [sent_dataset(path) for path in files]
    stranger = secure.strangers.leaf("modality")
    assert secure.run("storescu", files[0], leaf=stranger).returncode != 0
    assert secure.run("storescu", files[0], leaf=None).returncode != 0
    assert secure.run("storescu", files[0], leaf=secure.ours.leaf("modality"), ca=secure.strangers.ca).returncode != 0
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
    assert secure.run("storescu", *files, leaf=secure.ours.leaf("modality")).returncode == 0
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


def test_every_service_works_over_tls_and_c_move_goes_out_by_tls(tmp_path: Path, cloud: StubCloud) -> None:
    """echoscu, storescu, findscu; pynetdicom for C-GET and C-MOVE, for which dcmtk has no TLS; and the images of the
    C-MOVE to a storescp that wants our certificate.
    """
    with ReservedPort() as port:
        reading = '\n[[device]]\nae_title = "WS1"\nrights = ["query", "retrieve"]\n'
        dest = f'\n[[device]]\nae_title = "DEST"\nhost = "127.0.0.1"\nport = {port.number}\ntls = true\n'
        secure = tls_edge(tmp_path, cloud, reading + dest)
        workstation, server = secure.ours.leaf("workstation"), secure.ours.leaf("server")
        files = write_series(tmp_path / "in", 3)
        with secure.edge:
            assert secure.run("echoscu", leaf=workstation).returncode == 0
            sent = secure.run("storescu", *files, leaf=workstation)
            assert sent.returncode == 0, sent.stderr
            wait_until(lambda: not secure.edge.spooled(), what="an empty spool")
            keys = ["-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=2.25.1"]
            me = ["-aet", "WS1", *keys]
            found = secure.run("findscu", leaf=workstation, before=me)
            assert found.stderr.count("2.25.1") + found.stdout.count("2.25.1") > 0, found.stderr
            got, moved = tmp_path / "got", tmp_path / "moved"
            got.mkdir()
            moved.mkdir()
            _retrieve(secure, workstation, StudyRootQueryRetrieveInformationModelGet, got)
            storescp = [
                "storescp",
                "+tls",
                server.key,
                server.certificate,
                "+cf",
                secure.ours.ca,
                "-rc",
                "-aet",
                "DEST",
            ]
            command = [*storescp, "-od", moved, "+B", "+xa", str(port.number)]
            child = Child(command, log=tmp_path / "storescp.log", env=QUICK_TCP)
            child.spawn()
            try:
                check = [str(BIN / "maypacs-edge"), "check", "--config", str(secure.edge.config)]
                wait_until(lambda: "device DEST" in _good(check), what="storescp")
                _retrieve(secure, workstation, StudyRootQueryRetrieveInformationModelMove)
            finally:
                child.kill()
    for folder in (got, moved):
        arrived = {str(pydicom.dcmread(path).SOPInstanceUID): path for path in folder.iterdir()}
        assert {uid: dataset_bytes(path.read_bytes()) for uid, path in arrived.items()} == {
            f"2.25.11.{n}": sent_dataset(path) for n, path in enumerate(files, 1)
        }


def _retrieve(secure: TlsEdge, leaf: Leaf, model: UID, folder: Path | None = None) -> None:
    """A study by C-GET, each image as a file in the folder; or by C-MOVE to DEST."""

    def keep(event: Any) -> int:
        assert folder is not None
        path = folder / str(event.request.AffectedSOPInstanceUID)
        path.write_bytes(event.encoded_dataset())
        return 0

    ae = AE(ae_title="WS1")
    ae.add_requested_context(model)
    ae.add_requested_context(CT, ExplicitVRLittleEndian)
    association = ae.associate(
        "127.0.0.1",
        secure.port,
        ae_title=AET,
        ext_neg=[build_role(CT, scp_role=True)],
        evt_handlers=[(evt.EVT_C_STORE, keep)],
        tls_args=(_client(leaf, secure.ours.ca), "127.0.0.1"),
    )
    assert association.is_established
    keys = Dataset()
    keys.QueryRetrieveLevel, keys.StudyInstanceUID = "STUDY", "2.25.1"
    answers = association.send_c_get(keys, model) if folder else association.send_c_move(keys, "DEST", model)
    statuses = [status.Status for status, _ in answers]
    association.release()
    assert statuses[-1] == 0x0000, statuses


def _good(check: list[str]) -> str:
    """The lines of `check` about what is well."""
    text = subprocess.run(check, capture_output=True, text=True, timeout=30).stdout
    return "\n".join(line for line in text.splitlines() if line.startswith("ok"))
