"""Orthanc and the edge over mutual TLS, each calling the other, in every service that both have."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
import pytest
from tests.support.orthanc import Orthanc
from tests.support.ports import ReservedPort
from tests.support.processes import BIN, wait_until
from tests.support.stub_cloud import StubCloud
from tests.support.stub_edge import AET, write_series
from tests.support.tls_edge import TlsEdge, tls_edge

pytestmark = pytest.mark.e2e


class Rest:
    def __init__(self, orthanc: Orthanc) -> None:
        self._base = f"http://127.0.0.1:{orthanc.http_port}"

    def __call__(self, path: str, body: object = None) -> Any:
        data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self._base + path, data=data, method="GET" if data is None else "POST")
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read() or b"null")


def secure_orthanc(folder: Path, secure: TlsEdge, port: int) -> Orthanc:
    leaf = secure.ours.leaf("orthanc")
    edge = {"AET": AET, "Host": "127.0.0.1", "Port": secure.port, "UseDicomTls": True}
    settings = {
        "DicomPort": port,
        "DicomTlsEnabled": True,
        "DicomTlsCertificate": str(leaf.certificate),
        "DicomTlsPrivateKey": str(leaf.key),
        "DicomTlsTrustedCertificates": str(secure.ours.ca),
        "DicomModalities": {"edge": edge},
    }
    return Orthanc(folder, settings=settings)


def maypacs_edge(secure: TlsEdge, *words: str) -> subprocess.CompletedProcess[str]:
    line = [str(BIN / "maypacs-edge"), words[0], "--config", str(secure.edge.config), *words[1:]]
    return subprocess.run(line, capture_output=True, text=True, timeout=60)


def test_orthanc_stores_asks_for_commitment_finds_and_fetches_and_is_migrated_from_over_tls(
    tmp_path: Path, cloud: StubCloud
) -> None:
    """To us: C-ECHO, C-STORE, commitment, C-FIND, C-MOVE. From us: C-ECHO, the report, C-STORE, C-FIND, C-GET."""
    with ReservedPort() as port:
        device = f'\n[[device]]\nae_title = "ORTHANC"\nhost = "127.0.0.1"\nport = {port.number}\ntls = true\n'
        secure = tls_edge(tmp_path, cloud, device + 'rights = ["store", "query", "retrieve"]\n')
        files = {str(pydicom.dcmread(p).SOPInstanceUID): p for p in write_series(tmp_path / "in", 3)}
        with secure_orthanc(tmp_path / "orthanc", secure, port.number) as orthanc, secure.edge:
            rest = Rest(orthanc)
            rest("/modalities/edge/echo", {})
            assert "ok     device ORTHANC" in maypacs_edge(secure, "check").stdout
            instances = [rest("/instances", path.read_bytes())["ID"] for path in files.values()]
            stored = rest("/modalities/edge/store", {"Resources": instances, "StorageCommitment": True})
            assert stored["FailedInstancesCount"] == 0
            uid = stored["StorageCommitmentTransactionUID"]
            wait_until(lambda: rest(f"/storage-commitment/{uid}")["Status"] == "Success", what="the commitment")
            assert {part.sop for part in cloud.parts()} == set(files)

            for instance in instances:
                urllib.request.urlopen(
                    urllib.request.Request(
                        f"http://127.0.0.1:{orthanc.http_port}/instances/{instance}", method="DELETE"
                    )
                ).close()
            query = rest("/modalities/edge/query", {"Level": "Study", "Query": {"StudyInstanceUID": "2.25.1"}})["ID"]
            assert len(rest(f"/queries/{query}/answers")) == 1
            rest("/modalities/edge/move", {"Level": "Study", "Resources": [{"StudyInstanceUID": "2.25.1"}]})
            assert len(rest("/instances")) == 3

            other = write_series(tmp_path / "other", 2, study="2.25.2", series="2.25.21")
            for path in other:
                ds = pydicom.dcmread(path)
                ds.StudyDate = "20240101"
                ds.save_as(path)
                rest("/instances", path.read_bytes())
            fetched = maypacs_edge(secure, "migrate", "--from", "ORTHANC", "--method", "get", "--dates", "20240101")
            assert fetched.returncode == 0, fetched.stdout + fetched.stderr
    arrived = {part.sop: pydicom.dcmread(BytesIO(part.data)) for part in cloud.parts()}
    everything = {**files, **{str(pydicom.dcmread(p).SOPInstanceUID): p for p in other}}
    assert arrived == {uid: pydicom.dcmread(path) for uid, path in everything.items()}
