"""`maypacs-edge check`: what it looks at, and that each line says what to do."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pynetdicom import AE
from pynetdicom.sop_class import Verification
from tests.support.ports import ReservedPort
from tests.support.processes import BIN, Child, wait_until
from tests.support.stub_cloud import StubCloud
from tests.support.stub_edge import AET, StubEdge

pytestmark = pytest.mark.e2e


def check(edge: StubEdge) -> tuple[int, str]:
    line = [str(BIN / "maypacs-edge"), "check", "--config", str(edge.config)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60)
    assert done.stderr == ""
    return done.returncode, done.stdout


def device(title: str, port: int) -> str:
    return f'\n[[device]]\nae_title = "{title}"\nhost = "127.0.0.1"\nport = {port}\n'


@pytest.fixture
def picky() -> Iterator[int]:
    """A device named PICKY that takes calls for that AE title and from ORTHANC alone."""
    ae = AE(ae_title="PICKY")
    ae.add_supported_context(Verification)
    ae.require_called_aet, ae.require_calling_aet = True, ["ORTHANC"]
    server = ae.start_server(("127.0.0.1", 0), block=False)
    assert server is not None
    yield server.server_address[1]
    server.shutdown()


def test_every_device_is_called_and_each_fault_has_its_own_advice(tmp_path: Path, cloud: StubCloud, picky: int) -> None:
    """dcmtk answers; one does not know us; one has another name; one is switched off; one cannot be called."""
    with ReservedPort() as free, ReservedPort() as nobody:
        devices = device("GOOD", free.number) + device("PICKY", picky) + device("WRONGNAME", picky)
        devices += device("OFF", nobody.number) + '\n[[device]]\nae_title = "MUTE"\n'
        edge = StubEdge(tmp_path / "edge", cloud, devices=devices)
        good = Child(["storescp", "-od", tmp_path, str(free.number)], log=tmp_path / "storescp.log")
        good.spawn()
        try:
            wait_until(lambda: f"GOOD at 127.0.0.1:{free.number} answers" in check(edge)[1], what="storescp")
            code, text = check(edge)
        finally:
            good.kill()
    assert code == 1
    lines = text.splitlines()
    by_device = {line.split()[2]: line for line in lines if " device " in line}
    assert set(by_device) == {"GOOD", "PICKY", "WRONGNAME", "OFF"}
    assert by_device["GOOD"].startswith("ok ")
    assert f"It does not know us: enter our AE title {AET}" in by_device["PICKY"]
    assert "It does not answer to WRONGNAME: correct ae_title" in by_device["WRONGNAME"]
    assert "Is it switched on?" in by_device["OFF"]
    assert any(line.startswith("ok     the clock agrees") for line in lines)


@pytest.mark.parametrize(("ahead", "level"), [(90, "LOOK"), (-4000, "WRONG")])
def test_a_clock_that_is_off_is_told(tmp_path: Path, cloud: StubCloud, ahead: float, level: str) -> None:
    """A minute and a half is to be looked at, an hour is wrong: the exit code says which."""
    edge = StubEdge(tmp_path / "edge", cloud)
    cloud.clock_ahead = ahead
    code, text = check(edge)
    assert code == (1 if level == "WRONG" else 0), text
    (line,) = [line for line in text.splitlines() if "the clock" in line]
    assert line.startswith(level)
    assert "switch on time synchronisation" in line


@pytest.mark.parametrize(
    ("section", "setting"),
    [("health", "[health] port"), ("stow", "[stow] bind or port"), ("edge", "[edge] bind or port")],
)
def test_a_port_that_is_taken_is_named_by_check_and_by_the_start(
    tmp_path: Path, cloud: StubCloud, section: str, setting: str
) -> None:
    """Each of the ports, with the setting that changes it: the system's own words name none."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        edge = StubEdge(tmp_path / "edge", cloud)
        text = edge.config.read_text()
        if section == "edge":
            text = re.sub(r"(?m)^port = [0-9]+$", f"port = {port}", text, count=1)
        else:
            keys = 'api_keys = ["0123456789abcdef0123456789abcdef"]\n' if section == "stow" else ""
            text = re.sub(rf"(?m)^\[{section}\]$", f"[{section}]\nport = {port}\n{keys}", text)
        edge.config.write_text(text)
        code, checked = check(edge)
        words = f":{port}: Address already in use. Change {setting}"
        assert (code, [words in line for line in checked.splitlines() if line.startswith("WRONG")]) == (1, [True])
        run = [str(BIN / "maypacs-edge"), "run", "--config", str(edge.config)]
        started = subprocess.run(run, capture_output=True, text=True, timeout=60)
    assert started.returncode == 1
    assert words in started.stderr.splitlines()[-1]
