"""What `make run` starts: a node, an edge and sample studies; the second time they are found."""

from __future__ import annotations

import json
import re
import signal
import socket
import stat
import sys
from pathlib import Path
from typing import Self

import pytest
import requests
from tests.support.processes import Child, free_port

pytestmark = pytest.mark.e2e


class Run:
    """One run of the demo, up to its block of text."""

    def __init__(self, data: Path, port: int, edge_port: int) -> None:
        log = data.with_suffix(".log")
        log.unlink(missing_ok=True)
        command = [sys.executable, "-m", "maypacs_node.demo", "--data", data, "--port", str(port)]
        self.child = Child([*command, "--edge-port", str(edge_port)], log=log)
        self.child.start(r"^  Data ", seconds=110)  # the last line of the block
        self.said = log.read_text()
        self.facts = {name: fact.strip() for name, fact in re.findall(r"^  (\w+) +(.+)$", self.said, re.MULTILINE)}

    def studies(self) -> list[dict[str, dict[str, list[object]]]]:
        """What the demo's user finds, logged in as a person would."""
        base = self.facts["Dashboard"].rstrip("/")
        credentials = {"user": self.facts["User"], "password": self.facts["Password"]}
        login = requests.post(f"{base}/api/login", json=credentials, timeout=30)
        assert login.status_code == 200, login.text
        bearer = {"Authorization": f"Bearer {login.json()['access_token']}"}
        answer = requests.get(f"{self.facts['DICOMweb']}/studies?includefield=all", headers=bearer, timeout=30)
        studies: list[dict[str, dict[str, list[object]]]] = answer.json()
        return studies

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Ctrl-C; an exit code of 0. Nothing stays behind, whatever the test met."""
        assert self.child.process is not None
        self.child.process.send_signal(signal.SIGINT)
        try:
            assert self.child.process.wait(30) == 0
        finally:
            self.child.kill()


def test_the_demo_sends_its_samples_once_and_finds_them_the_next_time(tmp_path: Path) -> None:
    """Also on other ports, which it says, when the ones it should take are taken."""
    data = tmp_path / "data"
    with Run(data, free_port(), free_port()) as first:
        found = first.studies()
    assert "Sending the sample studies" in first.said
    assert max(int(str(study["00201208"]["Value"][0])) for study in found) >= 100
    assert {str(study["00080061"]["Value"][0]) for study in found} >= {"CT", "MR", "CR", "US"}
    assert stat.S_IMODE((data / "demo.json").stat().st_mode) == 0o600
    assert json.loads((data / "demo.json").read_text())["password"] == first.facts["Password"]

    with socket.create_server(("127.0.0.1", 0)) as web, socket.create_server(("127.0.0.1", 0)) as dimse:
        taken = web.getsockname()[1], dimse.getsockname()[1]
        with Run(data, *taken) as second:
            again = second.studies()
    assert "Sending" not in second.said
    assert all(f"Port {port} is in use" in second.said for port in taken)
    assert second.facts["Password"] == first.facts["Password"]
    assert second.facts["Dashboard"] != first.facts["Dashboard"]
    assert again != []
    assert {str(s["0020000D"]["Value"][0]) for s in again} == {str(s["0020000D"]["Value"][0]) for s in found}
