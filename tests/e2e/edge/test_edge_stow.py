"""The edge's own STOW-RS endpoint, by dicomweb-client, curl and bare sockets: as safe as a C-STORE, and as bounded."""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
import requests
from dicomweb_client.api import DICOMwebClient
from tests.support.certificates import Authority
from tests.support.processes import free_port, wait_until
from tests.support.stub_cloud import ARCHIVE, StubCloud, data_set_sha256
from tests.support.stub_edge import StubEdge, write_ct, write_series

KEY = "thu-nghiem-0123456789abcdef0123456789"
B = "ranh-gioi"
TYPE = f'multipart/related; type="application/dicom"; boundary={B}'


class Door(StubEdge):
    """An edge with its STOW-RS endpoint open on loopback."""

    def __init__(self, folder: Path, cloud: StubCloud, *, more: str = "", extra: str = "") -> None:
        self.stow_port, self.more = free_port(), more
        super().__init__(folder, cloud, extra)

    def _quick(self, extra: str) -> None:
        super()._quick(extra)
        text = self.config.read_text()
        head, section, tail = text.partition("[stow]\n")
        mine = f'port = {self.stow_port}\napi_keys = ["{KEY}"]\n{self.more}'
        for line in filter(None, mine.splitlines()):
            tail = re.sub(rf"^# {line.split(' = ')[0]} = .*$", line.replace("\\", r"\\"), tail, count=1, flags=re.M)
        self.config.write_text(head + section + tail)

    @property
    def stow_url(self) -> str:
        return f"http://127.0.0.1:{self.stow_port}"

    def post(self, body: bytes, path: str = "/studies", *, key: str | None = KEY, **headers: str) -> requests.Response:
        sent = {"Content-Type": TYPE, **({"Authorization": f"Bearer {key}"} if key else {})}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        return requests.post(f"{self.stow_url}{path}", data=body, headers=sent, timeout=60)

    def raw(self, data: bytes, *, half_close: bool = False) -> bytes:
        """What is answered to these bytes, to the end."""
        with socket.create_connection(("127.0.0.1", self.stow_port), timeout=30) as s:
            s.sendall(data)
            if half_close:
                s.shutdown(socket.SHUT_WR)
            answer = b""
            with contextlib.suppress(ConnectionResetError):
                while piece := s.recv(65536):
                    answer += piece
            return answer


@pytest.fixture
def edge(tmp_path: Path, cloud: StubCloud) -> Iterator[Door]:
    edge = Door(tmp_path / "edge", cloud)
    with edge:
        yield edge


def multipart(*instances: bytes) -> bytes:
    parts = (f"--{B}\r\nContent-Type: application/dicom\r\n\r\n".encode() + data + b"\r\n" for data in instances)
    return b"".join(parts) + f"--{B}--\r\n".encode()


def reasons(answer: requests.Response) -> list[int]:
    return [item["00081197"]["Value"][0] for item in answer.json().get("00081198", {}).get("Value", [])]


def stored(answer: requests.Response) -> list[str]:
    return [item["00081155"]["Value"][0] for item in answer.json().get("00081199", {}).get("Value", [])]


def test_dicomweb_client_stores_and_every_byte_reaches_the_cloud(cloud: StubCloud, edge: Door, tmp_path: Path) -> None:
    """Each instance has its result, with the address where the cloud will have it."""
    files = write_series(tmp_path / "ct", 5)
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {KEY}"
    client = DICOMwebClient(edge.stow_url, session=session)
    answer = client.store_instances([pydicom.dcmread(path) for path in files])
    assert [item.ReferencedSOPInstanceUID for item in answer.ReferencedSOPSequence] == [
        f"2.25.11.{n}" for n in range(1, 6)
    ]
    assert answer.ReferencedSOPSequence[0].RetrieveURL == (
        f"{cloud.url}/dicomweb/{ARCHIVE}/studies/2.25.1/series/2.25.11/instances/2.25.11.1"
    )
    assert "FailedSOPSequence" not in answer
    cloud.wait_for(lambda: len(cloud.parts()) == 5)
    assert len(cloud.packs()) == 1, "a request's series travels as one"
    assert {data_set_sha256(part.data) for part in cloud.parts()} == {data_set_sha256(f.read_bytes()) for f in files}


def test_curl_stores_a_file_to_the_byte(cloud: StubCloud, edge: Door, tmp_path: Path) -> None:
    """With and without Expect: 100-continue, by length and in chunks; what is stored is the file, header and all."""
    file = write_ct(tmp_path / "a.dcm", sop="2.25.1.1", size=3_072_000)
    body = tmp_path / "body"
    body.write_bytes(multipart(file.read_bytes()))
    common = [
        "curl",
        "-sS",
        "-H",
        f"Authorization: Bearer {KEY}",
        "-H",
        f"Content-Type: {TYPE}",
        "-w",
        "\n%{http_code}",
    ]
    for extra in (["--data-binary", f"@{body}"], ["-H", "Transfer-Encoding: chunked", "--data-binary", f"@{body}"]):
        done = subprocess.run(
            [*common, *extra, f"{edge.stow_url}/studies/2.25.1"], capture_output=True, text=True, timeout=60
        )
        document, _, status = done.stdout.rpartition("\n")
        assert status == "200", done.stdout + done.stderr
        assert json.loads(document)["00081199"]["Value"][0]["00081155"]["Value"] == ["2.25.1.1"]
    cloud.wait_for(lambda: len(cloud.parts()) >= 1)
    assert cloud.parts()[0].data == file.read_bytes()


def test_it_is_on_the_disk_when_it_is_said_to_be(cloud: StubCloud, edge: Door, tmp_path: Path) -> None:
    """kill -9 right after the answer: the next process takes it up."""
    cloud.hold.clear()
    assert edge.post(multipart(write_ct(tmp_path / "a.dcm", sop="2.25.1.1").read_bytes())).status_code == 200
    edge.kill()
    assert len(edge.spooled()) == 1
    cloud.hold.set()
    edge.run()
    cloud.wait_for(lambda: [part.sop for part in cloud.parts()] == ["2.25.1.1"])


def test_a_body_that_breaks_off_keeps_what_came_whole_and_nothing_else(
    cloud: StubCloud, edge: Door, tmp_path: Path
) -> None:
    """No half instance is ever in the spool; the sender is told, if it is still there."""
    one, two = (write_ct(tmp_path / f"{n}.dcm", sop=f"2.25.1.{n}", size=409_600).read_bytes() for n in (1, 2))
    body = multipart(one, two)
    cut = body[: len(body) - 200_000]
    answer = edge.post(cut)
    assert answer.status_code == 400
    assert "1 instances before that are stored" in answer.json()["detail"]
    head = f"POST /studies HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Type: {TYPE}\r\n"
    gone = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + cut
    assert b" 400 " in edge.raw(gone, half_close=True)[:20]
    cloud.wait_for(lambda: {part.sop for part in cloud.parts()} == {"2.25.1.1"})
    wait_until(lambda: edge.spooled() == [], what="an empty spool")
    assert list((edge.folder / "spool" / "incoming").iterdir()) == []


def test_a_full_disk_is_503_before_the_body_and_images_are_kept_by_the_sender(cloud: StubCloud, tmp_path: Path) -> None:
    """With Retry-After; by Expect, not a byte of the body is sent for nothing."""
    with Door(tmp_path / "edge", cloud, extra="max_mib = 1") as edge:
        file = write_ct(tmp_path / "a.dcm", sop="2.25.1.1", size=12_288_000)
        answer = edge.post(multipart(file.read_bytes()))
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        connection = http.client.HTTPConnection("127.0.0.1", edge.stow_port, timeout=30)
        connection.putrequest("POST", "/studies")
        for name, value in (("Authorization", f"Bearer {KEY}"), ("Content-Type", TYPE), ("Expect", "100-continue")):
            connection.putheader(name, value)
        connection.putheader("Content-Length", "2000000")
        connection.endheaders()
        assert connection.getresponse().status == 503
        connection.close()
        chunked = iter([multipart(file.read_bytes())])
        answer = requests.post(
            f"{edge.stow_url}/studies",
            data=chunked,
            headers={"Authorization": f"Bearer {KEY}", "Content-Type": TYPE},
            timeout=60,
        )
        assert (answer.status_code, reasons(answer)) == (503, [0xA700])
        assert edge.status()["totals"]["refused"] == 3
        assert edge.spooled() == []


def test_gigabytes_go_through_little_memory(cloud: StubCloud, tmp_path: Path) -> None:
    """One instance of 1.5 GB, sparse at the sender: the edge's memory does not grow with it."""
    with Door(tmp_path / "edge", cloud) as edge:
        size = 1_500_000_000
        head = write_ct(tmp_path / "a.dcm", sop="2.25.1.1", size=2000).read_bytes()
        at = head.rindex(b"\xe0\x7f\x10\x00OW") + 8
        head = head[:at] + (size).to_bytes(4, "little")
        cloud.refuse_key = True  # it is about the way in
        before = peak(edge)

        def body() -> Iterator[bytes]:
            yield f"--{B}\r\nContent-Type: application/dicom\r\n\r\n".encode() + head
            piece = bytes(4_000_000)
            for _ in range(size // len(piece)):
                yield piece
            yield f"\r\n--{B}--\r\n".encode()

        answer = requests.post(
            f"{edge.stow_url}/studies",
            data=body(),
            headers={"Authorization": f"Bearer {KEY}", "Content-Type": TYPE},
            timeout=300,
        )
        assert answer.status_code == 200
        assert peak(edge) - before < 40_000_000
        (name,) = edge.spooled()
        assert (edge.received / name).stat().st_size == len(head) + size
        edge.kill()
        (edge.received / name).unlink()


def peak(edge: StubEdge) -> int:
    """The most memory that its process held (VmHWM), in bytes."""
    assert edge.process is not None
    status = Path(f"/proc/{edge.process.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found
    return int(found[1]) * 1024


def test_the_key_is_in_no_log(edge: Door, tmp_path: Path) -> None:
    """Nor what a stranger sends in its place."""
    edge.post(multipart(b"x"), key="mat-khau-bi-mat-0123456789abcdef0123")
    edge.post(multipart(write_ct(tmp_path / "a.dcm", sop="2.25.1.1").read_bytes()))
    wait_until(lambda: "stored by STOW" in edge.log.read_text(), what="a line in the log")
    assert KEY not in edge.log.read_text()
    assert "mat-khau" not in edge.log.read_text()
    assert "Nguy" not in edge.log.read_text()


def test_a_stop_waits_for_a_request_that_is_under_way(cloud: StubCloud, edge: Door, tmp_path: Path) -> None:
    """Finished and answered, then the process ends."""
    body = multipart(write_ct(tmp_path / "a.dcm", sop="2.25.1.1", size=409_600).read_bytes())
    head = f"POST /studies HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Type: {TYPE}\r\n"
    with socket.create_connection(("127.0.0.1", edge.stow_port), timeout=30) as s:
        s.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:200_000])
        wait_until(lambda: list((edge.folder / "spool" / "incoming").iterdir()), what="a file that is being written")
        assert edge.process is not None
        edge.process.terminate()
        time.sleep(0.3)
        s.sendall(body[200_000:])
        assert s.recv(20).startswith(b"HTTP/1.1 200 ")
    assert edge.process.wait(20) == 0
    assert len(edge.spooled()) == 1 or cloud.parts()


def test_by_tls_with_the_certificate_of_the_edge(cloud: StubCloud, tmp_path: Path) -> None:
    """The same door, encrypted; plain HTTP is not understood there."""
    authority = Authority(tmp_path / "pki")
    leaf = authority.leaf("127.0.0.1")
    edge = Door(tmp_path / "edge", cloud, more="tls = true")
    text = edge.config.read_text()
    text = text.replace('# certificate = ""', f'certificate = "{leaf.certificate}"')
    edge.config.write_text(text.replace('# key = ""', f'key = "{leaf.key}"').replace("# port = 2762", "port = 0"))
    with edge:
        answer = requests.post(
            f"https://127.0.0.1:{edge.stow_port}/studies",
            data=multipart(write_ct(tmp_path / "a.dcm", sop="2.25.1.1").read_bytes()),
            headers={"Authorization": f"Bearer {KEY}", "Content-Type": TYPE},
            verify=str(authority.ca),
            timeout=60,
        )
        assert (answer.status_code, stored(answer)) == (200, ["2.25.1.1"])
        assert edge.raw(b"GET / HTTP/1.1\r\n\r\n")[:5] != b"HTTP/"
        cloud.wait_for(lambda: len(cloud.parts()) == 1)
