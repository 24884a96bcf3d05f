"""The whole road with real processes: storescu → edge → node → dicomweb-client, and kill -9 on the way."""

from __future__ import annotations

import io
import os
import random
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
import requests
from dicomweb_client.api import DICOMwebClient
from samples.phantom import write_ct
from tests.conftest import OWN_SAMPLES
from tests.support.processes import QUICK_TCP, Edge, Node, wait_until
from tests.unit.dicom.normalisation import Json, normalised, pydicom_json

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def data_set_bytes(data: bytes) -> bytes:
    """What follows group 0002: the part of a file that travels over DIMSE (PS3.10 7)."""
    meta_length = int.from_bytes(data[140:144], "little")  # (0002,0000) is always the first element
    return data[144 + meta_length :]


def without_binary(dataset: Json) -> Json:
    """Normalised DICOM JSON without bulk values: those are compared byte by byte with the instances."""

    def strip(element: Json) -> Json:
        if element["vr"] == "SQ":
            return {**element, "Value": [{t: strip(e) for t, e in item.items()} for item in element["Value"]]}
        return {key: value for key, value in element.items() if key not in {"BulkDataURI", "InlineBinary"}}

    return {tag: strip(element) for tag, element in normalised(dataset).items()}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("road")


@pytest.fixture(scope="module")
def node(place: Path) -> Iterator[Node]:
    with Node(place / "node") as node:
        yield node


@pytest.fixture(scope="module")
def key(node: Node) -> str:
    return node.archive("hosp1", "admin")


@pytest.fixture(scope="module")
def client(node: Node, key: str) -> DICOMwebClient:
    session = requests.Session()
    session.headers["Authorization"] = f"Bearer {key}"
    return DICOMwebClient(f"{node.url}/dicomweb/hosp1", session=session)


@pytest.fixture(scope="module")
def edge(place: Path, node: Node, key: str) -> Iterator[Edge]:
    with Edge(place / "edge", node) as edge:
        yield edge


def count_in_cloud(client: DICOMwebClient, study: str) -> int:
    found = client.search_for_studies(search_filters={"StudyInstanceUID": study})
    return int(found[0]["00201208"]["Value"][0]) if found else 0


def test_what_storescu_sends_is_found_and_comes_back_with_an_identical_data_set(
    place: Path, edge: Edge, client: DICOMwebClient
) -> None:
    """Real images of four modalities and a CT phantom, through DIMSE, search, metadata and retrieval."""
    write_ct(place / "ct", slices=24)
    sent = sorted((place / "ct").glob("*.dcm")) + sorted((OWN_SAMPLES / "studies").rglob("*.dcm"))
    for folder in [place / "ct", *sorted((OWN_SAMPLES / "studies").iterdir())]:
        # one association a folder, with what its files are stored in proposed first
        done = edge.send(folder, extra=propose(folder))
        assert done.returncode == 0, done.stderr
    by_uid = {str(pydicom.dcmread(p, stop_before_pixels=True).SOPInstanceUID): p for p in sent}
    studies: dict[str, set[str]] = {}
    for path in sent:
        header = pydicom.dcmread(path, stop_before_pixels=True)
        studies.setdefault(str(header.StudyInstanceUID), set()).add(str(header.SOPInstanceUID))
    for study, uids in studies.items():
        wait_until(lambda: count_in_cloud(client, study) == len(uids), what=f"{len(uids)} instances of a study")  # noqa: B023

    found = client.search_for_studies(search_filters={"PatientName": "nguyen van*"})
    assert {f["00100010"]["Value"][0]["Alphabetic"] for f in found} == {"Nguyễn^Văn Mẫu"}

    for study, uids in studies.items():
        metadata = client.retrieve_study_metadata(study)
        assert {m["00080018"]["Value"][0] for m in metadata} == uids
        for m in metadata:
            header = pydicom.dcmread(by_uid[m["00080018"]["Value"][0]], stop_before_pixels=True)
            theirs, ours = without_binary(pydicom_json(header)), without_binary(m)
            assert set(theirs) <= set(m)
            assert {tag: ours[tag] for tag in theirs} == theirs
        for uid in sorted(uids):
            series = str(pydicom.dcmread(by_uid[uid], stop_before_pixels=True).SeriesInstanceUID)
            answer = client._session.get(
                f"{client.base_url}/studies/{study}/series/{series}/instances/{uid}",
                headers={"Accept": "application/dicom; transfer-syntax=*"},
                timeout=30,
            )
            assert answer.status_code == 200
            original = by_uid[uid].read_bytes()
            if by_uid[uid].parent.name == "ct":
                assert data_set_bytes(answer.content) == data_set_bytes(original)
            # dcmtk writes some data sets anew before it sends them (lengths of sequences): equal value by value, then
            assert pydicom.dcmread(io.BytesIO(answer.content)) == pydicom.dcmread(io.BytesIO(original))


def propose(folder: Path) -> list[str]:
    """storescu's option that proposes the transfer syntax the files of a folder are stored in."""
    syntax = str(
        pydicom.dcmread(next(iter(sorted(folder.glob("*.dcm")))), stop_before_pixels=True).file_meta[0x00020010].value
    )
    return {
        "1.2.840.10008.1.2.4.50": ["-xy"],
        "1.2.840.10008.1.2.4.80": ["-xt"],
        "1.2.840.10008.1.2.4.91": ["-xw"],
        "1.2.840.10008.1.2.4.90": ["-xv"],
    }.get(syntax, [])


def test_kill_9_of_edge_node_and_storage_in_mid_transfer_loses_nothing(tmp_path: Path) -> None:
    """What storescu was told is stored reaches the cloud, whatever dies on the way."""
    dice = random.Random(20261124)
    slices = write_ct(tmp_path / "ct", slices=60, seed=7)
    study = str(pydicom.dcmread(slices[0], stop_before_pixels=True).StudyInstanceUID)
    with Node(tmp_path / "node") as node:
        key = node.archive("hosp1", "admin")
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {key}"
        client = DICOMwebClient(f"{node.url}/dicomweb/hosp1", session=session)
        acknowledged: set[Path] = set()
        edge = Edge(tmp_path / "edge", node)
        edge.__enter__()
        stop = threading.Event()

        def send_everything() -> None:
            """Like a modality: repeats a slice until it is told that it is stored."""
            pending = list(slices)
            while pending and not stop.is_set():
                path = pending[0]
                done = subprocess.run(
                    ["storescu", "-to", "5", "-ta", "10", "-td", "10", "-aec", edge.ae_title]
                    + ["127.0.0.1", str(edge.port), str(path)],
                    env=QUICK_TCP,
                    capture_output=True,
                    timeout=60,
                )
                if done.returncode == 0:
                    acknowledged.add(path)
                    pending.pop(0)
                else:
                    time.sleep(0.2)

        sender = threading.Thread(target=send_everything)
        sender.start()
        try:
            for victim in ("edge", "node", "storage", "edge", "node"):
                time.sleep(dice.uniform(0.5, 2.0))
                if victim == "edge":
                    edge.kill()
                    edge.start(r"^ready ")
                elif victim == "node":
                    node.kill()
                    node.start(r"^ready http://")
                else:
                    os.kill(storage_pid(node), signal.SIGKILL)
        finally:
            sender.join(timeout=120)
            stop.set()
        assert acknowledged == set(slices)
        wait_until(
            lambda: cloud_has(client, study, len(slices)), seconds=120, what="every acknowledged slice in the cloud"
        )
        metadata = client.retrieve_study_metadata(study)
        assert len(metadata) == len(slices)
        assert len({m["00080018"]["Value"][0] for m in metadata}) == len(slices)
        edge.stop()


def cloud_has(client: DICOMwebClient, study: str, count: int) -> bool:
    try:
        return count_in_cloud(client, study) == count
    except (requests.RequestException, OSError):
        return False  # the node is just coming back


def storage_pid(node: Node) -> int:
    """The object store of this node, found by its data folder in the command line (Linux)."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"weed") and any(str(node.data).encode() in word for word in words):
            return int(entry.name)
    raise AssertionError("the node's object store is not running")
