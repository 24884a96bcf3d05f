"""An edge and a real node: the devices page's data, a new key, a revocation seen from both sides."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from tests.support.processes import BIN, Edge, Node, wait_until
from tests.support.stub_edge import write_ct

pytestmark = pytest.mark.e2e


def test_a_node_hears_of_an_edge_whose_key_is_replaced_and_revoked(tmp_path: Path) -> None:
    """What was acknowledged while the edge was revoked is in the archive after it enrolled again, without a restart."""
    with Node(tmp_path / "node") as node:
        admin = node.archive()

        def ask(path: str, *, method: str = "GET", body: object = None) -> Any:
            data = None if body is None else json.dumps(body).encode()
            request = urllib.request.Request(f"{node.url}{path}", data=data, method=method)
            request.add_header("Authorization", f"Bearer {admin}")
            with urllib.request.urlopen(request, timeout=30) as answer:
                return json.loads(answer.read() or b"null")

        def edges() -> list[dict[str, Any]]:
            listed: list[dict[str, Any]] = ask("/api/archives/hosp1/devices")["edges"]
            return listed

        def found(sop: str) -> bool:
            return bool(ask(f"/dicomweb/hosp1/instances?SOPInstanceUID={sop}&StudyInstanceUID=2.25.1"))

        def enroll(*words: str) -> None:
            command = [str(BIN / "maypacs-edge"), "enroll", "--config", str(edge.config), *words]
            done = subprocess.run(command, capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stderr

        edge = Edge(tmp_path / "edge", node)
        text = edge.config.read_text()
        edge.config.write_text(text.replace("# heartbeat_seconds = 0.0", "heartbeat_seconds = 1.0"))
        with edge:
            assert edge.send(write_ct(tmp_path / "1.dcm", sop="2.25.11.1")).returncode == 0
            wait_until(lambda: [d for e in edges() if e["health"] for d in e["health"]["devices"]], what="a device")
            (first,) = edges()
            assert (first["level"], first["findings"]) == ("green", [])
            assert first["health"]["devices"][0]["modality"] == "CT"

            before = edge.config.with_name("credentials.json").read_text()
            enroll("--rotate")
            assert edge.config.with_name("credentials.json").read_text() != before
            assert edge.send(write_ct(tmp_path / "2.dcm", sop="2.25.11.2")).returncode == 0
            wait_until(lambda: found("2.25.11.2"), what="an image by the new key")
            assert [e["edge"] for e in edges()] == [first["edge"]]

            ask(f"/api/archives/hosp1/edges/{first['edge']}", method="DELETE")
            wait_until(
                lambda: "was revoked" in " ".join(edge.status()["health"]["findings"]),
                seconds=90,
                what="an edge that knows that it was revoked",
            )
            assert edges() == []
            assert edge.send(write_ct(tmp_path / "3.dcm", sop="2.25.11.3")).returncode == 0
            code = ask("/api/archives/hosp1/enrolment-codes", method="POST", body={})["code"]
            enroll("--url", node.url, "--code", code)
            wait_until(lambda: found("2.25.11.3"), seconds=90, what="what waited")
            wait_until(lambda: [e["level"] for e in edges()] == ["green"], what="a healthy edge on the page")
