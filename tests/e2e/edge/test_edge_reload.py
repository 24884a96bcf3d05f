"""A reload by SIGHUP, what systemd hears, and a stop that loses nothing."""

from __future__ import annotations

import ctypes
import json
import os
import platform
import re
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pydicom
from pynetdicom import AE
from pynetdicom.sop_class import CTImageStorage  # type: ignore[attr-defined]
from tests.support.certificates import Authority
from tests.support.processes import free_port, wait_until
from tests.support.stub_cloud import StubCloud
from tests.support.stub_edge import AET, StubEdge, write_ct

DEVICE = '[[device]]\nae_title = "KHOA-CT1"\nrights = {rights}\n'


def reload(edge: StubEdge, change: Callable[[str], str]) -> dict[str, str]:
    """Change the file and send SIGHUP; the log's lines about it, by message."""
    edge.config.write_text(change(edge.config.read_text()))
    seen = edge.log.stat().st_size
    assert edge.process is not None
    edge.process.send_signal(signal.SIGHUP)

    def lines() -> dict[str, str]:
        with edge.log.open() as log:
            log.seek(seen)
            told = [json.loads(line) for line in log if line.startswith("{")]
        # The end of the association before may be told only now.
        return {line["message"]: line.get("why", "") for line in told if "association" not in line["message"]}

    wait_until(lambda: any("configuration" in message for message in lines()), what="an answer to SIGHUP")
    return lines()


def test_devices_change_while_an_association_goes_on(cloud: StubCloud, tmp_path: Path) -> None:
    """Whoever is connected stays connected, under the old rights; who calls next has the new ones."""
    blocks = DEVICE.format(rights='["store"]')
    one, two = (write_ct(tmp_path / f"{n}.dcm", sop=f"2.25.1.{n}") for n in (1, 2))
    with StubEdge(tmp_path / "edge", cloud, devices=blocks) as edge:
        caller = AE("KHOA-CT1")
        caller.add_requested_context(CTImageStorage)
        association = caller.associate("127.0.0.1", edge.port, ae_title=AET)
        assert association.send_c_store(pydicom.dcmread(one)).Status == 0
        told = reload(edge, lambda text: text.replace('rights = ["store"]\n', 'rights = ["query"]\n'))
        assert told["the configuration was read anew"] == "[[device]]"
        assert association.send_c_store(pydicom.dcmread(two)).Status == 0
        association.release()
        assert edge.storescu(one, extra=["-aet", "KHOA-CT1"]).returncode != 0
        assert edge.storescu(one, extra=["-aet", "KHOA-CT2"]).returncode == 0
        cloud.wait_for(lambda: {part.sop for part in cloud.parts()} == {"2.25.1.1", "2.25.1.2"})


def test_a_wrong_file_changes_nothing_and_is_said_to_be_wrong(cloud: StubCloud, edge: StubEdge, tmp_path: Path) -> None:
    """Not even the half of it that is right; the next good file is taken."""
    image = write_ct(tmp_path / "a.dcm", sop="2.25.1.1")
    good = edge.config.read_text()
    told = reload(edge, lambda text: text + '[[device]]\nae_title = "THU"\nrights = ["none"]\n')
    assert "rights knows no none" in told["the configuration is wrong: the one before stays in force"]
    assert reload(edge, lambda _: "not [ TOML").keys() == {"the configuration is wrong: the one before stays in force"}
    assert edge.storescu(image).returncode == 0
    told = reload(edge, lambda _: good.replace("# only_known_devices = false", "only_known_devices = true"))
    assert told == {"the configuration was read anew": "[dimse] only_known_devices"}
    assert edge.storescu(image).returncode != 0


def test_what_needs_a_restart_is_named_and_waits(cloud: StubCloud, edge: StubEdge, tmp_path: Path) -> None:
    """The port stays where it is; what may change is taken all the same."""

    def change(text: str) -> str:
        text = text.replace(f"port = {edge.port}", f"port = {free_port()}")
        return text.replace("min_free_mib = 16", f"min_free_mib = {10**9}").replace('"info"', '"debug"', 1)

    told = reload(edge, lambda text: change(text.replace("# log_level", "log_level")))
    assert told["these settings need a restart"] == "[edge] port"
    assert told["the configuration was read anew"] == "[edge] log_level, [spool] min_free_mib"
    refused = edge.storescu(write_ct(tmp_path / "a.dcm", sop="2.25.1.1"))
    assert "Refused: OutOfResources" in refused.stderr + refused.stdout


def test_a_renewed_certificate_needs_no_restart(cloud: StubCloud, tmp_path: Path) -> None:
    """The same files with another content; a pair that does not fit is refused, and the old one goes on."""
    authority, port = Authority(tmp_path / "pki"), free_port()
    old, new = authority.leaf("old"), authority.leaf("new")
    edge = StubEdge(tmp_path / "edge", cloud)
    here = edge.folder / "edge.pem", edge.folder / "edge.key"

    def put(certificate: Path, key: Path) -> None:
        here[0].write_bytes(certificate.read_bytes())
        here[1].write_bytes(key.read_bytes())

    put(old.certificate, old.key)
    text = edge.config.read_text().replace('# certificate = ""', 'certificate = "edge.pem"')
    text = text.replace('# key = ""', 'key = "edge.key"').replace("# port = 2762", f"port = {port}")
    edge.config.write_text(text)

    def subject() -> str:
        import ssl

        pem = ssl.get_server_certificate(("127.0.0.1", port), timeout=10)
        from cryptography import x509

        return x509.load_pem_x509_certificate(pem.encode()).subject.rfc4514_string()

    with edge:
        assert subject() == "CN=old"
        put(new.certificate, old.key)
        assert "[tls]" in reload(edge, str)["the configuration is wrong: the one before stays in force"]
        assert subject() == "CN=old"
        put(new.certificate, new.key)
        reload(edge, str)
        assert subject() == "CN=new"


def test_systemd_hears_of_the_start_of_life_of_a_reload_and_of_the_stop(cloud: StubCloud, tmp_path: Path) -> None:
    """sd_notify(3): READY, WATCHDOG, RELOADING with its moment, READY again, STOPPING."""
    heard: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(30)

        def hear(word: str) -> str:
            while not heard or not heard[-1].startswith(word):
                heard.append(systemd.recv(1000).decode())
            return heard[-1]

        edge = StubEdge(tmp_path / "edge", cloud)
        edge.env = {**os.environ, "NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "400000"}
        with edge:
            assert hear("READY=1") == "READY=1"
            assert hear("WATCHDOG=1") == "WATCHDOG=1"
            reload(edge, str)
            assert re.fullmatch(r"RELOADING=1\nMONOTONIC_USEC=\d+", hear("RELOADING=1"))
            hear("READY=1")
        assert hear("STOPPING=1") == "STOPPING=1"


def test_a_stop_lets_the_message_under_way_end_and_keeps_what_waits(
    cloud: StubCloud, edge: StubEdge, tmp_path: Path
) -> None:
    """SIGTERM amid an association: what was acknowledged is spooled, the process ends with 0, the next one sends it."""
    cloud.hold.clear()
    caller = AE("KHOA-CT1")
    caller.add_requested_context(CTImageStorage)
    association = caller.associate("127.0.0.1", edge.port, ae_title=AET)
    acknowledged = []
    for n in range(1, 200):
        image = write_ct(tmp_path / "ct" / f"{n}.dcm", sop=f"2.25.11.{n}", number=n)
        try:
            answer = association.send_c_store(pydicom.dcmread(image))
        except RuntimeError:  # the association ended between two messages
            break
        if "Status" not in answer:
            break
        if answer.Status == 0:
            acknowledged.append(f"2.25.11.{n}")
        if n == 5:
            assert edge.process is not None
            edge.process.terminate()
    association.abort()
    assert edge.process is not None
    assert edge.process.wait(40) == 0
    assert 5 <= len(acknowledged) < 199
    cloud.hold.set()
    edge.run()
    cloud.wait_for(lambda: {part.sop for part in cloud.parts()} >= set(acknowledged))


def test_a_stop_is_heard_whichever_thread_the_signal_meets(edge: StubEdge) -> None:
    """The system chooses the thread; numpy has one of its own, which knows nothing of Python."""
    assert edge.process is not None
    others = [int(task) for task in os.listdir(f"/proc/{edge.process.pid}/task") if int(task) != edge.process.pid]
    assert len(others) > 5
    tgkill = {"x86_64": 234, "aarch64": 131}[platform.machine()]
    assert ctypes.CDLL(None).syscall(tgkill, edge.process.pid, others[-1], int(signal.SIGTERM)) == 0
    assert edge.process.wait(20) == 0
