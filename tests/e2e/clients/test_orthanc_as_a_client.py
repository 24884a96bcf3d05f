"""Orthanc's DICOMweb plugin (Debian's 1.7) as a client: it pushes studies by STOW-RS and pulls them by WADO-RS."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import requests
from pydicom.pixels.utils import pixel_array
from samples.phantom import write_ct
from tests.e2e.clients.conftest import Archive
from tests.e2e.clients.corpus import Sample, read_sample, samples_of, stow
from tests.support.orthanc import Orthanc
from tests.support.processes import Node

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

US = "mypacs"  #: our name in Orthanc's configuration
UNLIMITED = "mynode"  #: a node of ours without the gateway's limits


@dataclass(frozen=True)
class Peer:
    orthanc: Orthanc
    archive: Archive
    ours: requests.Session
    unlimited: Archive

    def ask(self, method: str, path: str, **kwargs: Any) -> requests.Response:
        answer = requests.request(method, f"http://127.0.0.1:{self.orthanc.http_port}{path}", timeout=120, **kwargs)
        assert answer.status_code == 200, f"{path}: {answer.status_code} {answer.text[:1000]}"
        return answer

    def give(self, files: list[bytes]) -> set[str]:
        """To Orthanc by its own API; returns its ids of the studies."""
        return {self.ask("POST", "/instances", data=data).json()["ParentStudy"] for data in files}

    def instances(self) -> dict[str, bytes]:
        """What Orthanc holds, by SOP Instance UID."""
        files = [self.ask("GET", f"/instances/{name}/file").content for name in self.ask("GET", "/instances").json()]
        return {str(pydicom.dcmread(io.BytesIO(f), stop_before_pixels=True).SOPInstanceUID): f for f in files}

    def forget(self) -> None:
        for name in self.ask("GET", "/studies").json():
            self.ask("DELETE", f"/studies/{name}")


@pytest.fixture(scope="module")
def unlimited_node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    with Node(tmp_path_factory.mktemp("unlimited") / "node", limits="none") as node:
        yield node


@pytest.fixture(scope="module")
def peer(
    new_archive: Callable[[], Archive], unlimited_node: Node, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Peer]:
    archive = new_archive()
    open_archive = Archive("open", unlimited_node.url, unlimited_node.archive("open"))
    servers = {US: server_of(archive), UNLIMITED: server_of(open_archive)}
    with Orthanc(tmp_path_factory.mktemp("orthanc"), servers=servers) as orthanc, archive.session() as session:
        yield Peer(orthanc, archive, session, open_archive)


def server_of(archive: Archive) -> dict[str, Any]:
    """An entry of DicomWeb.Servers."""
    headers = {"Authorization": f"Bearer {archive.key}"}
    return {"Url": archive.root, "HttpHeaders": headers, "HasDelete": True, "ChunkedTransfers": True}


@pytest.fixture(scope="module")
def ct(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    paths = write_ct(tmp_path_factory.mktemp("ct"), slices=24, seed=9)
    return [sample for path in paths if (sample := read_sample(path))]


def test_a_study_that_orthanc_pushes_arrives_whole_and_unchanged(peer: Peer, ct: list[Sample]) -> None:
    """Of every modality and syntax of our own samples, each data set as Orthanc holds it; it is told 200."""
    sent = ct[:6] + samples_of("studies")
    held = {}
    for study in sorted(peer.give([sample.data for sample in sent])):
        peer.ask("POST", f"/dicom-web/servers/{US}/stow", json={"Resources": [study], "Synchronous": True})
    held = peer.instances()
    assert set(held) == {sample.uids[2] for sample in sent}
    for sample in sent:
        answer = peer.ours.get(
            peer.archive.root + sample.url, headers={"Accept": "application/dicom; transfer-syntax=*"}, timeout=60
        )
        assert answer.status_code == 200, sample.name
        assert answer.content == held[sample.uids[2]], sample.name
        assert pydicom.dcmread(io.BytesIO(answer.content)) == sample.dataset(), sample.name
    peer.forget()


def test_what_orthanc_pushes_again_stays_one_instance(peer: Peer, ct: list[Sample]) -> None:
    """A second push is a success, as every repetition is."""
    (study,) = peer.give([sample.data for sample in ct[:6]])
    for _ in range(2):
        peer.ask("POST", f"/dicom-web/servers/{US}/stow", json={"Resources": [study], "Synchronous": True})
    found = peer.ours.get(f"{peer.archive.root}/studies/{ct[0].uids[0]}/instances", timeout=30).json()
    assert len(found) == 6
    peer.forget()


def test_orthanc_pushes_a_large_study_in_chunks_to_a_node(peer: Peer, ct: list[Sample]) -> None:
    """Twelve megabytes without a Content-Length, in one request: what a gateway refuses, a node takes."""
    (study,) = peer.give([sample.data for sample in ct])
    peer.ask("POST", f"/dicom-web/servers/{UNLIMITED}/stow", json={"Resources": [study], "Synchronous": True})
    with peer.unlimited.session() as session:
        found = session.get(f"{peer.unlimited.root}/studies/{ct[0].uids[0]}/instances", timeout=30).json()
    assert {instance["00080018"]["Value"][0] for instance in found} == {sample.uids[2] for sample in ct}
    peer.forget()


@pytest.mark.parametrize("level", ["Study", "Series", "Instance"])
def test_a_study_that_orthanc_pulls_is_the_one_we_hold(peer: Peer, ct: list[Sample], level: str) -> None:
    """Twelve megabytes through a redirect for study and series: its libcurl follows it with our header."""
    stow(peer.ours, peer.archive.root, [sample.data for sample in ct])
    names = ["Study", "Series", "Instance"]
    resource = dict(zip(names[: names.index(level) + 1], ct[0].uids, strict=False))
    peer.ask("POST", f"/dicom-web/servers/{US}/retrieve", json={"Resources": [resource], "Synchronous": True})
    held = peer.instances()
    expected = ct if level != "Instance" else ct[:1]
    assert set(held) == {sample.uids[2] for sample in expected}
    for sample in expected:
        assert pydicom.dcmread(io.BytesIO(held[sample.uids[2]])) == sample.dataset()
    peer.forget()


def test_every_study_of_the_samples_is_pulled_with_the_same_data_sets(peer: Peer) -> None:
    """Real images of four modalities in one job; by default it asks for another encoding of equal pixels."""
    sent = samples_of("studies")
    stow(peer.ours, peer.archive.root, [sample.data for sample in sent])
    resources = [{"Study": study} for study in sorted({sample.uids[0] for sample in sent})]
    peer.ask("POST", f"/dicom-web/servers/{US}/retrieve", json={"Resources": resources, "Synchronous": True})
    held = peer.instances()
    assert set(held) == {sample.uids[2] for sample in sent}
    for sample in sent:
        found, expected = pydicom.dcmread(io.BytesIO(held[sample.uids[2]])), sample.dataset()
        if found.file_meta.TransferSyntaxUID != sample.syntax:
            assert np.array_equal(pixel_array(found, raw=True), pixel_array(expected, raw=True)), sample.name
            del found.PixelData, expected.PixelData
        assert found == expected, sample.name
    peer.forget()


def test_orthanc_searches_us(peer: Peer, ct: list[Sample]) -> None:
    """Its `qido` route hands our answer on; names are whole."""
    stow(peer.ours, peer.archive.root, [sample.data for sample in ct[:2]])
    found = peer.ask(
        "POST",
        f"/dicom-web/servers/{US}/qido",
        json={"Uri": "/studies", "Arguments": {"PatientName": "nguyen*", "StudyInstanceUID": ct[0].uids[0]}},
    ).json()
    # (in its own, flattened form)
    assert [study["0020000D"]["Value"] for study in found] == [ct[0].uids[0]]
    assert "Nguyễn^Văn Mẫu" in str(found[0]["00100010"]["Value"])


def test_orthanc_removes_a_study_of_ours(peer: Peer, tmp_path: Path) -> None:
    """Its `delete` route."""
    paths = write_ct(tmp_path, slices=2, seed=99)
    samples = [sample for path in paths if (sample := read_sample(path))]
    stow(peer.ours, peer.archive.root, [sample.data for sample in samples])
    study = samples[0].uids[0]
    peer.ask("POST", f"/dicom-web/servers/{US}/delete", json={"Level": "Study", "StudyInstanceUID": study})
    assert peer.ours.get(f"{peer.archive.root}/studies/{study}/metadata", timeout=30).status_code == 410
