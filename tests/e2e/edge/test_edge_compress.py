"""Images that the edge compresses are in the real cloud as the same images, promised and not sent twice."""

from __future__ import annotations

import io
import json
import urllib.request
from pathlib import Path
from typing import Any

import pydicom
import pytest
from tests.support.commitment_scu import CT, CommitmentSCU
from tests.support.processes import Edge, Node, wait_until
from tests.support.stub_edge import write_series

pytestmark = pytest.mark.e2e

JPEG_LS, HTJ2K = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.201"


def get(node: Node, key: str, path: str, accept: str) -> bytes:
    headers = {"Authorization": f"Bearer {key}", "Accept": accept}
    with urllib.request.urlopen(urllib.request.Request(node.url + path, headers=headers), timeout=60) as answer:
        body: bytes = answer.read()
        return body


def store(node: Node, key: str, files: list[Path]) -> None:
    """STOW-RS."""
    parts = [b"--X\r\nContent-Type: application/dicom\r\n\r\n" + file.read_bytes() + b"\r\n" for file in files]
    headers = {
        "Authorization": f"Bearer {key}",
        "Content-Type": 'multipart/related; type="application/dicom"; boundary=X',
    }
    url = f"{node.url}/dicomweb/hosp1/studies"
    with urllib.request.urlopen(
        urllib.request.Request(url, b"".join(parts) + b"--X--\r\n", headers), timeout=60
    ) as answer:
        assert answer.status == 200


@pytest.mark.parametrize(("rule", "stored"), [("jpeg-ls", JPEG_LS), ("htj2k", HTJ2K)])
def test_what_was_compressed_is_the_same_image_for_everybody(tmp_path: Path, rule: str, stored: str) -> None:
    """Stored compressed, converted back to the very pixels; committed; sent again, it goes up neither way."""
    with Node(tmp_path / "node") as node, CommitmentSCU(0, "STORESCU") as scu:
        key = node.archive()
        scu.listen()
        edge = Edge(tmp_path / "edge", node)
        edge.config.write_text(
            edge.config.read_text().replace("# by_modality = {}", f'by_modality = {{ CT = "{rule}" }}')
        )
        with edge.config.open("a") as config:
            config.write(scu.device)
        with edge:
            scu.edge_port = edge.port
            files = write_series(tmp_path / "in", 3, size=64 * 1024)
            references = [(CT, f"2.25.11.{n}") for n in (1, 2, 3)]
            for again in (False, True):
                assert edge.send(*files).returncode == 0
                uid, _ = scu.ask(references)
                assert scu.wait(uid, 60)[0] == 1
                wait_until(lambda: edge.status()["waiting"]["instances"] == 0, what="an empty spool")
                totals = edge.status()["totals"]
                assert (totals["uploads"], totals["compressed"]) == (1, 6 if again else 3)
            assert totals["known"] == 3
            # The archive has these as they come, from elsewhere: they go up neither way, and are promised.
            there = write_series(tmp_path / "there", 3, series="2.25.12", size=64 * 1024)
            store(node, key, there)
            assert edge.send(*there).returncode == 0
            uid, _ = scu.ask([(CT, f"2.25.12.{n}") for n in (1, 2, 3)])
            assert scu.wait(uid, 60)[0] == 1
            totals = edge.status()["totals"]
            assert (totals["uploads"], totals["compressed"], totals["known"]) == (1, 9, 6)
            assert totals["compressed_saved_bytes"] > 0
        series = "/dicomweb/hosp1/studies/2.25.1/series/2.25.11"
        metadata: list[dict[str, Any]] = json.loads(get(node, key, f"{series}/metadata", "application/dicom+json"))
        assert len(metadata) == 3
        for n, path in enumerate(files, 1):
            sent = pydicom.dcmread(path)
            for syntax in (stored, "1.2.840.10008.1.2.1"):
                accept = f'multipart/related; type="application/dicom"; transfer-syntax={syntax}'
                body = get(node, key, f"{series}/instances/2.25.11.{n}", accept)
                start = body.index(b"DICM") - 128
                found = pydicom.dcmread(io.BytesIO(body[start : body.rindex(b"\r\n--")]))
                assert found.file_meta.TransferSyntaxUID == syntax
                assert (found.pixel_array == sent.pixel_array).all()
                assert found.PatientName == sent.PatientName
