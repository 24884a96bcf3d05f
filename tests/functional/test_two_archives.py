"""Two hospitals with the same UIDs: whatever is asked of one, no byte of the other's pictures comes back."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from tests.functional.dicomweb import make
from tests.support.ct import small_ct
from tests.support.functions import Reply, call, load_function, proxy_event
from tests.support.moto_cloud import MotoCloud, moto_cloud

from maypacs.access.accounts import add_archive
from maypacs.access.keys import add_key
from maypacs.access.principals import Role
from maypacs.arrivals import new_arrival
from maypacs.index.contents import series_contents
from maypacs.ingest import store_instances
from maypacs.uids import ArchiveId, Uid

STUDY, SERIES, INSTANCE = "1.2.3", "1.2.3.1", "1.2.3.1.1"
#: One id begins the other, on purpose. What must never be seen elsewhere: a name, an id, pixels.
MARKS = {"hosp1": (b"CANARY-ONE", b"ONE!"), "hosp10": (b"CANARY-TEN", b"TEN!")}
VALUES = make.IN_PATHS | {"study": STUDY, "series": SERIES, "instance": INSTANCE}
ACCEPTS = (
    "*/*",
    "application/dicom+json",
    'multipart/related; type="application/dicom"; transfer-syntax=*',
    'multipart/related; type="application/dicom"; transfer-syntax=1.2.840.10008.1.2.1',
    'multipart/related; type="application/octet-stream"; transfer-syntax=*',
    "image/jpeg",
)
READS = sorted(t for t, operations in load_function("dicomweb").ROUTES.items() if "GET" in operations)


@pytest.fixture(scope="module", params=["inline", "redirects"])
def cloud(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[MotoCloud]:
    """Once with answers inline, once with a limit so small that everything is a redirect or an export."""
    limit = {"inline": "4400000", "redirects": "64"}[request.param]
    folder = Path(tmp_path_factory.mktemp("cloud"))
    with (
        pytest.MonkeyPatch.context() as monkeypatch,
        moto_cloud(folder, monkeypatch, MAYPACS_INLINE_LIMIT=limit) as made,
    ):
        for archive, (name, pixel) in MARKS.items():
            add_archive(made.runtime.accounts, archive)
            data = small_ct(STUDY, name=name.decode(), patient_id=name.decode(), pixels=pixel * 128)
            workspace = made.runtime.unscoped_workspace(ArchiveId(archive))
            (outcome,) = store_instances(workspace, new_arrival(), [data])
            assert outcome.result == "stored"
        yield made


@pytest.fixture(scope="module")
def apps(cloud: MotoCloud) -> dict[str, ModuleType]:
    return {name: load_function(name) for name in ("console", "dicomweb")}


@pytest.fixture(scope="module")
def keys(cloud: MotoCloud) -> dict[str, str]:
    return {archive: add_key(cloud.runtime.accounts, archive, Role.ADMIN).key for archive in MARKS}


def versions(cloud: MotoCloud) -> list[str]:
    """The digests of the instance in every archive: each has its own version, and must not show another's."""
    workspaces = [cloud.runtime.unscoped_workspace(ArchiveId(archive)) for archive in MARKS]
    found = [series_contents(each, Uid(STUDY), Uid(SERIES)).instance(Uid(INSTANCE)) for each in workspaces]
    return [each.digest.hex() for each in found]


def everything(cloud: MotoCloud, reply: Reply) -> bytes:
    """The answer with its headers, and what it redirects to."""
    seen = reply.body + repr(dict(reply.headers)).encode()
    location = reply.headers.get("location", "").partition("?")[0]
    if location.startswith("/blobs/"):
        seen += cloud.s3.get_object(Bucket="archive", Key=location[1:])["Body"].read()
    return seen


def assert_only_its_own(cloud: MotoCloud, archive: str, reply: Reply) -> bytes:
    seen = everything(cloud, reply)
    for other, marks in MARKS.items():
        if other != archive:
            assert not re.search(rb"[/\"]" + other.encode() + rb"[/\"?]", seen), "the other archive is named"
            for mark in marks:
                assert mark not in seen
    return seen


@pytest.mark.parametrize("archive", MARKS)
@pytest.mark.parametrize("template", READS)
def test_no_resource_of_one_archive_shows_a_byte_of_the_other(
    cloud: MotoCloud, apps: dict[str, ModuleType], keys: dict[str, str], template: str, archive: str
) -> None:
    """Every resource, in every representation; what is found is its own."""
    own = 0
    for accept, version in itertools.product(ACCEPTS, versions(cloud) if "{version}" in template else [""]):
        values = VALUES | {"version": version}
        path = f"/dicomweb/{archive}" + re.sub(r"\{([^}]+)\}", lambda found, v=values: v[found[1]], template)  # type: ignore[misc]
        headers = {"Authorization": f"Bearer {keys[archive]}", "Accept": accept}
        reply = call(apps["dicomweb"], proxy_event("GET", path, headers=headers))
        assert reply.status < 500 or reply.status in {501, 503}, reply.body
        seen = assert_only_its_own(cloud, archive, reply)
        own += any(mark in seen for mark in MARKS[archive])
    if template.endswith(("/metadata", "/frames/{frames}", "/instances/{instance}", "/studies")):
        assert own, "nothing was found at all: the test would prove nothing"


@pytest.mark.parametrize("archive", MARKS)
def test_no_list_of_the_console_shows_the_other_archive(
    cloud: MotoCloud, apps: dict[str, ModuleType], keys: dict[str, str], archive: str
) -> None:
    """Lists, overview, audit; also when the other one's names and ids are searched for."""
    headers = {"Authorization": f"Bearer {keys[archive]}"}
    (other,) = [marks for name, marks in MARKS.items() if name != archive]
    for body in (b"{}", b'{"text":"' + other[0] + b'"}', b'{"query":{"PatientID":"' + other[0] + b'"}}'):
        event = proxy_event("POST", f"/api/archives/{archive}/search", headers=headers, body=body)
        seen = assert_only_its_own(cloud, archive, call(apps["console"], event))
        assert (MARKS[archive][0] in seen) == (body == b"{}")
    for path in (f"studies/{STUDY}", "edges", "keys", "users", "audit"):
        event = proxy_event("GET", f"/api/archives/{archive}/{path}", headers=headers)
        reply = call(apps["console"], event)
        assert reply.status == 200
        assert_only_its_own(cloud, archive, reply)


def test_deleting_in_one_archive_leaves_the_other(
    cloud: MotoCloud, apps: dict[str, ModuleType], keys: dict[str, str]
) -> None:
    """The same study UID, another hospital's study."""
    study = "1.2.4"
    for archive, (name, pixel) in MARKS.items():
        workspace = cloud.runtime.unscoped_workspace(ArchiveId(archive))
        store_instances(workspace, new_arrival(), [small_ct(study, name=name.decode(), pixels=pixel * 128)])
    headers = {archive: {"Authorization": f"Bearer {key}"} for archive, key in keys.items()}

    def ask(method: str, archive: str, rest: str = "") -> Reply:
        path = f"/dicomweb/{archive}/studies/{study}{rest}"
        return call(apps["dicomweb"], proxy_event(method, path, headers=headers[archive]))

    assert ask("DELETE", "hosp1").status in {200, 204}
    assert MARKS["hosp10"][0] in everything(cloud, ask("GET", "hosp10", "/metadata"))
    assert ask("GET", "hosp1", "/metadata").status in {404, 410}
