"""A node from its start to its end: ready, killed, restarted, two side by side, stopped without leaving anything."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from samples.phantom import write_ct
from tests.support.processes import BIN, ROOT, Node, wait_until

from maypacs_node.bench import object_store_client

pytestmark = pytest.mark.e2e


def processes_of(data: Path) -> list[str]:
    """Command lines of live processes that work on a data folder: by their arguments, or by where they run."""
    found = []
    for process in Path("/proc").iterdir():
        if not process.name.isdigit() or int(process.name) == os.getpid():
            continue
        try:
            command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            folder = os.readlink(process / "cwd")
            state = (process / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state != "Z" and (str(data) in command or folder.startswith(str(data))):
            found.append(command)
    return found


def store(node: Node, key: str, files: list[Path], archive: str = "hosp1") -> None:
    """STOW-RS of whole files."""
    parts = [b"--X\r\nContent-Type: application/dicom\r\n\r\n" + file.read_bytes() + b"\r\n" for file in files]
    answer = requests.post(
        f"{node.url}/dicomweb/{archive}/studies",
        data=b"".join(parts) + b"--X--\r\n",
        headers={**bearer(key), "Content-Type": 'multipart/related; type="application/dicom"; boundary=X'},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def studies(node: Node, key: str, archive: str = "hosp1") -> list[str]:
    answer = requests.get(f"{node.url}/dicomweb/{archive}/studies", headers=bearer(key), timeout=30)
    assert answer.status_code in (200, 204), answer.text
    return [item["0020000D"]["Value"][0] for item in (answer.json() if answer.content else [])]


@pytest.fixture(scope="module")
def ct(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return write_ct(tmp_path_factory.mktemp("ct"), slices=3)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """One node for all tests that leave it running; each has an archive of its own."""
    with Node(tmp_path_factory.mktemp("shared") / "node") as started:
        yield started


@pytest.fixture
def archive(request: pytest.FixtureRequest) -> str:
    return f"a{zlib.crc32(request.node.name.encode()):x}"


def test_health_needs_no_credential_and_says_what_works(node: Node) -> None:
    """For load balancers and people."""
    answer = requests.get(f"{node.url}/health", timeout=30)
    assert answer.status_code == 200
    assert answer.json() == {"status": "ok", "storage": "ok", "table": "ok", "disk": "ok"}


def test_after_kill_9_everything_stored_is_found_again(tmp_path: Path, ct: list[Path]) -> None:
    """The node and all its children die at once, as in a power cut; the next start needs no repair."""
    node = Node(tmp_path / "node")
    node.start(r"^ready http://")
    key = node.archive()
    store(node, key, ct)
    before = studies(node, key)
    node.kill()
    with Node(tmp_path / "node", port=node.port) as again:
        assert studies(again, key) == before
        assert len(before) == 1


def test_when_only_the_supervisor_is_killed_its_children_go_too_and_a_new_one_takes_over(
    tmp_path: Path, ct: list[Path]
) -> None:
    """kill -9 of one pid: no orphan keeps the port or the store."""
    node = Node(tmp_path / "node")
    node.start(r"^ready http://")
    key = node.archive()
    store(node, key, ct)
    assert node.process is not None
    node.process.kill()
    node.process.wait()
    with Node(tmp_path / "node", port=node.port) as again:
        assert len(studies(again, key)) == 1
    wait_until(lambda: not processes_of(node.data), what="no process on the data folder")


def test_two_nodes_run_side_by_side(tmp_path: Path, ct: list[Path]) -> None:
    """Each with its own store, its own keys, its own images."""
    with Node(tmp_path / "one") as one, Node(tmp_path / "two") as two:
        key_one, key_two = one.archive(), two.archive()
        store(one, key_one, ct)
        assert len(studies(one, key_one)) == 1
        assert studies(two, key_two) == []
        other = requests.get(f"{two.url}/dicomweb/hosp1/studies", headers=bearer(key_one), timeout=30)
        assert other.status_code == 401


def test_a_second_node_on_the_same_folder_is_a_clear_error(node: Node) -> None:
    """And leaves the first one alone."""
    done = subprocess.run(
        [BIN / "maypacs", "up", "--data", node.data], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert done.returncode == 1
    assert "is in use by another MayPACS process" in done.stderr
    assert requests.get(f"{node.url}/health", timeout=30).status_code == 200


def test_a_taken_port_is_a_clear_error(node: Node, tmp_path: Path) -> None:
    """Not two nodes that share a port, each getting half of the requests."""
    done = subprocess.run(
        [BIN / "maypacs", "up", "--data", tmp_path / "other", "--port", str(node.port)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
    )
    assert done.returncode == 1
    assert f"port {node.port} is in use" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stopped_node_leaves_no_process_and_no_socket(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C and `systemctl stop` end alike: exit code 0, nothing behind."""
    node = Node(tmp_path / "node")
    node.start(r"^ready http://")
    assert node.process is not None
    assert len(processes_of(node.data)) >= 6
    node.process.send_signal(number)
    assert node.process.wait(20) == 0
    assert processes_of(node.data) == []
    assert list((node.data / "run").glob("*.pid")) == []


def test_a_child_that_dies_is_started_again(tmp_path: Path, ct: list[Path]) -> None:
    """Each of them, one after the other; and what it did works as before."""
    with Node(tmp_path / "node") as node:
        key = node.archive()
        for name in ("handler-0", "handler-1", "web-0", "ingest", "chores", "seaweedfs"):
            pid_file = node.data / "run" / f"{name}.pid"
            dead = int(pid_file.read_text())
            os.kill(dead, signal.SIGKILL)

            def recovered(dead: int = dead, pid_file: Path = pid_file) -> bool:
                try:
                    return (
                        int(pid_file.read_text()) != dead
                        and requests.get(f"{node.url}/health", timeout=5).json()["status"] == "ok"
                        and studies(node, key) == []
                    )
                except (OSError, ValueError, AssertionError):
                    return False

            wait_until(recovered, what=f"{name} works again")
        store(node, key, ct)
        assert len(studies(node, key)) == 1


def test_a_store_that_is_killed_while_it_starts_ends_no_node(tmp_path: Path, ct: list[Path]) -> None:
    """Twice in the middle of its start: the node stays, and what it holds is there when the store is."""
    with Node(tmp_path / "node") as node:
        key = node.archive()
        store(node, key, ct)
        pid_file = node.data / "run" / "seaweedfs.pid"
        for _ in range(3):
            dead = int(pid_file.read_text())
            os.kill(dead, signal.SIGKILL)
            wait_until(lambda d=dead: _pid_of(pid_file) not in (None, d), what="the store starts")  # type: ignore[misc]
        wait_until(
            lambda: (
                requests.get(f"{node.url}/health", timeout=5).json()["status"] == "ok"
                and requests.get(f"{node.url}/dicomweb/hosp1/studies", headers=bearer(key), timeout=5).ok
            ),
            what="the node answers",
        )
        study = studies(node, key)[0]
        url = f"{node.url}/dicomweb/hosp1/studies/{study}"
        whole = {**bearer(key), "Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
        wait_until(lambda: requests.get(url, headers=whole, timeout=30).ok, what="the study comes back")
        assert node.process is not None
        assert node.process.poll() is None


def _pid_of(pid_file: Path) -> int | None:
    try:
        return int(pid_file.read_text())
    except (OSError, ValueError):
        return None


def test_the_commands_work_with_the_node_running_and_stopped(tmp_path: Path, ct: list[Path]) -> None:
    """Accounts are shared at once; reindex starts the store itself when nobody else does."""
    node = Node(tmp_path / "node")
    node.maypacs("archive", "add", "hosp1")
    early = node.maypacs("key", "add", "--archive", "hosp1", "--role", "admin")
    with node:
        store(node, early, ct)
        late = node.maypacs("key", "add", "--archive", "hosp1", "--role", "viewer", "--days", "7")
        assert len(studies(node, late)) == 1
        password = node.maypacs("user", "add", "bs.thu", "--archive", "hosp1", "--role", "radiologist")
        login = requests.post(f"{node.url}/api/login", json={"user": "bs.thu", "password": password}, timeout=30)
        assert login.status_code == 200, login.text
        assert "hosp1: 1 studies, 1 packs" in node.maypacs("reindex")
    for name in ("index.sqlite", "index.sqlite-wal", "index.sqlite-shm"):
        (node.data / name).unlink(missing_ok=True)
    assert "hosp1: 1 studies, 1 packs" in node.maypacs("reindex", "--archive", "hosp1")
    with Node(tmp_path / "node", port=node.port) as again:
        assert len(studies(again, early)) == 1


def test_files_copied_into_the_inbox_bucket_are_taken_in(node: Node, archive: str, ct: list[Path]) -> None:
    """Without a grant and without a nudge: the listing is the truth. A zip goes the long way."""
    key = node.archive(archive)
    client, _ = object_store_client(node.data)
    client.put_object(Bucket="inbox", Key=f"{archive}/import/{ct[0].name}", Body=ct[0].read_bytes())
    wait_until(lambda: len(studies(node, key, archive)) == 1, what="the file is indexed")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as zipped:
        for file in ct:
            zipped.write(file, file.name)
    client.put_object(Bucket="inbox", Key=f"{archive}/import/rest.zip", Body=packed.getvalue())

    def instances() -> int:
        answer = requests.get(f"{node.url}/dicomweb/{archive}/instances", headers=bearer(key), timeout=30)
        return len(answer.json()) if answer.status_code == 200 and answer.content else 0

    wait_until(lambda: instances() == len(ct), what="the zip is indexed")
    wait_until(
        lambda: not client.list_objects_v2(Bucket="inbox", Prefix=archive).get("Contents"), what="the inbox is empty"
    )


def test_a_thumbnail_is_made_after_what_was_stored(node: Node, archive: str, ct: list[Path]) -> None:
    """By the event of its sidecar, from a process that stores as well as from ingest."""
    key = node.archive(archive)
    store(node, key, ct, archive)
    client, bucket = object_store_client(node.data)

    def thumbnails() -> list[str]:
        listed = client.list_objects_v2(Bucket=bucket, Prefix=f"blobs/thumbs/{archive}/").get("Contents", [])
        return [item["Key"] for item in listed]

    wait_until(lambda: len(thumbnails()) == 1, what="a thumbnail")


def test_the_access_log_has_no_query_and_no_patient(node: Node, archive: str, ct: list[Path]) -> None:
    """Searches have names in their query."""
    key = node.archive(archive)
    store(node, key, ct, archive)
    requests.get(
        f"{node.url}/dicomweb/{archive}/studies?PatientName=Canary*&PatientID=CANARY1", headers=bearer(key), timeout=30
    )

    def lines() -> list[str]:
        return [line for log in (node.data / "log").glob("web-*.log") for line in log.read_text().splitlines()]

    wait_until(
        lambda: any('"GET"' in line and f"/dicomweb/{archive}/studies" in line for line in lines()), what="the line"
    )
    assert all(set(json.loads(line)) == {"at", "method", "path", "status", "bytes", "ms", "client"} for line in lines())
    for log in (node.data / "log").iterdir():
        text = log.read_text(errors="replace").lower()
        for secret in ("canary", "nguyễn", "may-0001", key.lower()):
            assert secret not in text, log.name
