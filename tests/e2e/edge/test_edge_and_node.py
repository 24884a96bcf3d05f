"""The edge as a workstation's PACS, with a real node as its cloud, and Orthanc as the workstation."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

import pydicom
import pytest
import requests
from tests.support.commitment_scu import CT, CommitmentSCU
from tests.support.orthanc import Orthanc
from tests.support.processes import QUICK_TCP, Edge, Node, wait_until
from tests.support.stub_edge import AET, dataset_bytes, sent_dataset, write_ct, write_series

pytestmark = pytest.mark.e2e


def device(title: str, port: int, rights: str = "") -> str:
    granted = f"rights = [{rights}]\n" if rights else ""
    return f'\n[[device]]\nae_title = "{title}"\nhost = "127.0.0.1"\nport = {port}\n{granted}'


def post(url: str, body: object) -> Any:
    data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data=data, method="POST"), timeout=60) as answer:
        return json.loads(answer.read() or b"null")


def test_what_a_modality_stores_is_promised_found_and_fetched_from_the_real_cloud(tmp_path: Path) -> None:
    """C-STORE, storage commitment, C-FIND at each level, C-GET; then Orthanc: C-STORE, C-FIND, C-MOVE to itself."""
    orthanc = Orthanc(tmp_path / "orthanc")
    with Node(tmp_path / "node") as node, CommitmentSCU(0) as scu, orthanc:
        node.archive()
        scu.listen()
        edge = Edge(tmp_path / "edge", node, ae_title=AET)
        text = edge.config.read_text()
        text = text.replace("# in_parts_above_mib = 64", "in_parts_above_mib = 4")
        edge.config.write_text(text.replace("# keep_uploaded = true", "keep_uploaded = false"))
        with edge.config.open("a") as config:
            config.write(scu.device + 'stores_as = ["STORESCU"]\nrights = ["store", "query", "retrieve"]\n')
            config.write(device("ORTHANC", orthanc.dicom_port, '"store", "query", "retrieve"'))
        with edge:
            scu.edge_port = edge.port
            files = write_series(tmp_path / "in", 4)
            # Larger than what the gateway would answer inline: a redirect to a pack of its own. It goes up in parts.
            files.append(write_ct(tmp_path / "in" / "large.dcm", sop="2.25.11.9", number=9, size=20 * 1024 * 1024))
            assert edge.send(*files).returncode == 0
            uid, _ = scu.ask([(CT, f"2.25.11.{n}") for n in (1, 2, 3, 4, 9)] + [(CT, "2.25.404")])
            event, committed, failed, _ = scu.wait(uid, 60)
            assert (event, sorted(committed)) == (2, sorted(f"2.25.11.{n}" for n in (1, 2, 3, 4, 9)))
            assert failed == {"2.25.404": 0x0112}
            # Sent once more: the cloud has them, so nothing is uploaded, and it is promised again.
            uploads = edge.status()["totals"]["uploads"]
            assert edge.send(*files).returncode == 0
            uid, _ = scu.ask([(CT, f"2.25.11.{n}") for n in (1, 2, 3, 4, 9)])
            assert scu.wait(uid, 60)[0] == 1
            totals = edge.status()["totals"]
            assert (totals["uploads"] - uploads, totals["known"]) == (0, 5)
            _dcmtk(edge, tmp_path, {str(pydicom.dcmread(p).SOPInstanceUID): p for p in files})
            _orthanc(edge, orthanc)


def test_a_workstation_gets_the_version_that_a_person_chose_and_what_came_after_a_deletion(tmp_path: Path) -> None:
    """The edge has the one before in its cache, as it was uploaded here: at once it is not given any more."""
    first, second, third = (write_ct(tmp_path / f"{n}.dcm", sop="2.25.11.1", fill=n) for n in (1, 2, 3))
    with Node(tmp_path / "node") as node:
        headers = {"Authorization": f"Bearer {node.archive()}"}
        study = f"{node.url}/dicomweb/hosp1/studies/2.25.1"
        instance = f"{study}/series/2.25.11/instances/2.25.11.1"
        edge = Edge(tmp_path / "edge", node, ae_title=AET)
        with edge.config.open("a") as config:
            config.write('\n[[device]]\nae_title = "WS1"\nrights = ["retrieve"]\n')
        with edge:

            def store(path: Path) -> None:
                assert edge.send(path).returncode == 0
                wait_until(lambda: edge.status()["waiting"]["instances"] == 0, what="an upload that is judged")

            def got() -> bytes:
                out = tmp_path / "got"
                out.mkdir(exist_ok=True)
                keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=2.25.1"]
                where = ["-aet", "WS1", "-aec", AET, "-S", "+B", "-od", str(out), "127.0.0.1", str(edge.port)]
                subprocess.run(["getscu", *where, *keys], env=QUICK_TCP, check=True, timeout=60)
                (path,) = out.iterdir()
                return dataset_bytes(path.read_bytes())

            store(first)
            assert got() == sent_dataset(first)
            store(second)
            assert got() == sent_dataset(first), "a conflict changes nothing"
            (conflict,) = requests.get(f"{study}/conflicts", headers=headers, timeout=30).json()["conflicts"]
            (other,) = (each["version"] for each in conflict["versions"] if not each["current"])
            chosen = {"kind": "promote", "reason": "the other patient", "version": other}
            assert requests.post(f"{instance}/decisions", json=chosen, headers=headers, timeout=30).status_code == 200
            assert got() == sent_dataset(second)
            assert requests.delete(instance, headers=headers, timeout=30).ok
            path = tmp_path / "node-import"
            path.mkdir()
            (path / "3.dcm").write_bytes(third.read_bytes())
            node.maypacs("import", "--archive", "hosp1", str(path))
            wait_until(lambda: requests.get(instance, headers=headers, timeout=30).ok, what="the image of the import")
            assert got() == sent_dataset(third)


def _dcmtk(edge: Edge, folder: Path, sent: dict[str, Path]) -> None:
    where = ["-aet", "THU-CT1", "-aec", AET]

    def find(root: str, *keys: str) -> list[pydicom.Dataset]:
        out = folder / f"answers-{len(list(folder.iterdir()))}"
        out.mkdir()
        words = [word for key in keys for word in ("-k", key)]
        command = ["findscu", *where, root, "-X", "-od", str(out), *words, "127.0.0.1", str(edge.port)]
        done = subprocess.run(command, env=QUICK_TCP, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return [pydicom.dcmread(path, force=True) for path in sorted(out.iterdir())]

    (patient,) = find("-P", "QueryRetrieveLevel=PATIENT", "PatientID=THU-0001", "PatientName")
    assert str(patient.PatientName) == "Nguyễn^Văn Thử"
    (study,) = find("-S", "QueryRetrieveLevel=STUDY", "PatientName=NGUYEN*", "StudyInstanceUID", "ModalitiesInStudy")
    assert (study.StudyInstanceUID, study.ModalitiesInStudy) == ("2.25.1", "CT")
    (series,) = find("-S", "QueryRetrieveLevel=SERIES", "StudyInstanceUID=2.25.1", "SeriesInstanceUID", "Modality")
    assert (series.SeriesInstanceUID, series.Modality) == ("2.25.11", "CT")
    key = ("StudyInstanceUID=2.25.1", "SeriesInstanceUID=2.25.11", "SOPInstanceUID", "InstanceNumber", "Rows")
    images = find("-S", "QueryRetrieveLevel=IMAGE", *key)
    assert sorted(int(i.InstanceNumber) for i in images) == [1, 2, 3, 4, 9]
    got = folder / "got"
    got.mkdir()
    keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=2.25.1"]
    command = ["getscu", *where, "-S", "+B", "-od", str(got), *keys, "127.0.0.1", str(edge.port)]
    done = subprocess.run(command, env=QUICK_TCP, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found = {str(pydicom.dcmread(p).SOPInstanceUID): p for p in got.iterdir()}
    assert set(found) == set(sent)
    for sop, path in found.items():
        assert dataset_bytes(path.read_bytes()) == sent_dataset(sent[sop])


def _orthanc(edge: Edge, orthanc: Orthanc) -> None:
    base = f"http://127.0.0.1:{orthanc.http_port}"
    put = urllib.request.Request(
        f"{base}/modalities/edge",
        data=json.dumps({"AET": AET, "Host": "127.0.0.1", "Port": edge.port}).encode(),
        method="PUT",
    )
    urllib.request.urlopen(put, timeout=30).close()
    own = write_ct(edge.folder / "own.dcm", study="2.25.5", series="2.25.51", sop="2.25.51.1")
    stored = urllib.request.Request(f"{base}/instances", data=own.read_bytes(), method="POST")
    with urllib.request.urlopen(stored, timeout=30) as answer:
        mine = json.loads(answer.read())["ID"]
    post(f"{base}/modalities/edge/store", mine)
    question = {"Level": "Study", "Query": {"PatientID": "THU-0001", "StudyInstanceUID": ""}}

    def studies() -> int:
        query = post(f"{base}/modalities/edge/query", question)["ID"]
        with urllib.request.urlopen(f"{base}/queries/{query}/answers", timeout=30) as answer:
            return len(json.loads(answer.read()))

    wait_until(lambda: studies() == 2, what="both studies in the cloud")
    post(f"{base}/modalities/edge/move", {"Level": "Study", "Resources": [{"StudyInstanceUID": "2.25.1"}]})
    with urllib.request.urlopen(f"{base}/instances", timeout=30) as answer:
        assert len(json.loads(answer.read())) == 6
