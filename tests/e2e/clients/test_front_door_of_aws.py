"""Real clients through the double of the AWS front door: CloudFront's signatures, origin access control, CORS."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from dicomweb_client.api import DICOMwebClient
from samples.phantom import write_ct
from tests.e2e.clients.browser import drive
from tests.e2e.clients.corpus import Sample, read_sample, stow
from tests.e2e.clients.other_origin import serve
from tests.support.front_door import API_HOST, FrontDoor, front_door

from maypacs.access import accounts, keys
from maypacs.access.principals import Role

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

ANY = 'multipart/related; type="application/dicom"; transfer-syntax=*'


@dataclass(frozen=True)
class Place:
    door: FrontDoor
    root: str
    key: str
    ct: list[Sample]

    def session(self) -> requests.Session:
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {self.key}"
        return session

    @property
    def study(self) -> str:
        return self.ct[0].uids[0]

    def blob(self) -> str:
        """A signed URL of the study's pack."""
        with self.session() as session:
            answer = session.get(
                f"{self.root}/studies/{self.study}", headers={"Accept": ANY}, allow_redirects=False, timeout=60
            )
        assert answer.status_code == 307
        location = answer.headers["Location"]
        assert location.startswith("/blobs/")
        return self.door.origin + location


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("front-door")
    ct = [sample for path in write_ct(folder / "ct", slices=16, seed=21) if (sample := read_sample(path))]
    with pytest.MonkeyPatch.context() as patch, front_door(folder, patch) as door:
        accounts.add_archive(door.runtime.accounts, "hosp1", name="hosp1")
        key = keys.add_key(door.runtime.accounts, "hosp1", Role.ADMIN, name="test").key
        place = Place(door, f"{door.origin}/dicomweb/hosp1", key, ct)
        with place.session() as session:
            stow(session, place.root, [sample.data for sample in ct])
        yield place


@pytest.mark.parametrize("stream", [False, True], ids=["buffered", "streamed"])
@pytest.mark.parametrize("syntax", ["*", "1.2.840.10008.1.2.1"])
def test_dicomweb_client_reads_a_study_through_it(place: Place, syntax: str, stream: bool) -> None:
    """It repeats its Authorization (and a Host without the port) at the signed URL: neither may break the signature."""
    with place.session() as session:
        client = DICOMwebClient(place.root, session=session)
        read = client.iter_study if stream else client.retrieve_study
        found = list(read(place.study, media_types=(("application/dicom", syntax),)))
    assert {str(dataset.SOPInstanceUID): dataset for dataset in found} == {
        sample.uids[2]: sample.dataset() for sample in place.ct
    }
    assert any(path.startswith("/blobs/") and status == 200 for _, path, status in place.door.seen)


def test_bulk_data_is_where_the_metadata_say(place: Place) -> None:
    """The functions see the API's own host; the URLs name the front door's."""
    sample = place.ct[2]
    with place.session() as session:
        client = DICOMwebClient(place.root, session=session)
        url = client.retrieve_instance_metadata(*sample.uids)["7FE00010"]["BulkDataURI"]
        assert API_HOST not in url
        assert url.startswith(place.root)
        assert b"".join(client.retrieve_bulkdata(url)) == sample.dataset().PixelData


def test_the_same_question_gives_the_same_url(place: Place) -> None:
    """Within its window, so that browsers cache what it leads to."""
    assert place.blob() == place.blob()


def test_a_signature_is_for_one_object_and_is_needed(place: Place) -> None:
    """Any change of path or query is 403; a credential instead of a signature too."""
    url = place.blob()
    assert requests.get(url, timeout=60).status_code == 200
    path = urlsplit(url).path
    changed = {
        "none": url.partition("?")[0],
        "another object": url.replace(path, path[:-4] + "0000"),
        "later": url.replace("Expires=1", "Expires=2"),
        "disposition": url + "&response-content-disposition=inline",
        "another key": url.replace("Key-Pair-Id=K", "Key-Pair-Id=L"),
    }
    for name, each in changed.items():
        assert requests.get(each, timeout=60).status_code == 403, name
    with place.session() as session:
        assert session.get(changed["none"], timeout=60).status_code == 403


def test_blobs_can_only_be_read(place: Place) -> None:
    """GET, HEAD and OPTIONS."""
    url = place.blob()
    for method in ("PUT", "POST", "DELETE", "PATCH"):
        assert requests.request(method, url, data=b"x", timeout=60).status_code == 403
    head = requests.head(url, timeout=60)
    assert head.status_code == 200
    assert int(head.headers["Content-Length"]) == len(requests.get(url, timeout=60).content)


def test_ranges_and_validators_reach_storage(place: Place) -> None:
    """A viewer's and a browser cache's questions."""
    url = place.blob()
    whole = requests.get(url, timeout=60)
    part = requests.get(url, headers={"Range": "bytes=10-29"}, timeout=60)
    assert (part.status_code, part.content) == (206, whole.content[10:30])
    assert requests.get(url, headers={"If-None-Match": whole.headers["ETag"]}, timeout=60).status_code == 304


@pytest.mark.browser
def test_a_page_of_another_origin_reads_through_it(place: Place, tmp_path: Path) -> None:
    """Chromium: preflights at the API and, after the redirect, at storage; headers that the page may see."""
    (tmp_path / "index.html").write_text("<!doctype html><title>another origin</title>")
    with serve(tmp_path) as origin:
        steps = drive(
            "fetch.mjs", page=origin, root=place.root, token=place.key, study=place.study, instance=place.ct[0].url
        )
    assert len(steps) == 9
    assert ("OPTIONS", urlsplit(place.blob()).path, 200) in place.door.seen
