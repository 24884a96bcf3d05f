"""WADO-RS of studies, series and instances (PS3.18 10.4): as stored, converted, inline, redirected, gone."""

from __future__ import annotations

import gzip
import itertools
import json
import re
from collections.abc import Callable, Iterator

import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, JPEGBaseline8Bit, RLELossless
from tests.conftest import OWN_SAMPLES
from tests.functional.dicomweb import make
from tests.functional.dicomweb.client import HOST, STORED, Client, Reply

from maypacs import conversion, steps
from maypacs.access.principals import Action
from maypacs.dicomweb.routes import ROUTES, Operation
from maypacs.http.multipart import read_multipart
from maypacs.index.contents import InstanceRef
from maypacs.pixels.whole import WholeInstance
from maypacs.retrieve import retrieve
from maypacs.uids import ArchiveId
from maypacs.workspace import Workspace

DEFAULT = 'multipart/related; type="application/dicom"'
OTHER_SERIES = make.SERIES + ".77"


def _syntaxes(reply: Reply) -> list[str]:
    return [content_type.partition("=")[2].strip('"') for content_type, _ in reply.parts()]


@pytest.fixture
def series(client: Client) -> list[bytes]:
    """Three slices stored one by one: three packs."""
    instances = [make.instance(number) for number in (1, 2, 3)]
    for data in instances:
        assert client.stow(data).status == 200
    return instances


def test_a_study_a_series_and_an_instance_come_back_as_stored(client: Client, series: list[bytes]) -> None:
    """transfer-syntax=*: byte for byte, in order."""
    for path, expected in ((f"/studies/{make.STUDY}", series), (make.url(), series), (make.url(2), [series[1]])):
        reply = client.get(path, STORED)
        assert reply.status == 200
        assert [content for _, content in reply.parts()] == expected


def test_each_part_says_where_it_lives(client: Client, series: list[bytes]) -> None:
    """Content-Location is the instance's absolute URL (PS3.18 8.6.1.2)."""
    body = client.get(make.url(2), STORED)
    boundary = body.headers["content-type"].rpartition("boundary=")[2]
    (part,) = read_multipart(body.body, boundary)
    assert part.headers["content-location"] == f"https://{HOST}/dicomweb/{client.archive}{make.url(2)}"


def test_one_large_pack_is_a_redirect_to_itself(make_client: Callable[..., Client]) -> None:
    """No compute, no copy: the object that storage has."""
    client = make_client(inline_limit=3000)
    data = make.instance(size=64)
    assert client.stow(data).status == 413
    _store_directly(client, [data])
    reply = client.send("GET", make.url(), {"Accept": STORED}, follow=False)
    assert reply.status == 307
    assert reply.headers["location"].startswith(f"/blobs/packs/{client.archive}/")
    assert reply.headers["vary"].startswith("Accept, Authorization")
    assert client.blob(reply).parts()[0][1] == data


def _store_directly(client: Client, instances: list[bytes]) -> None:
    """Past the gateway, as an upload goes."""
    from maypacs.arrivals import new_arrival
    from maypacs.ingest import store_instances
    from maypacs.uids import archive_id

    workspace = client.runtime.unscoped_workspace(archive_id(client.archive))
    outcomes = store_instances(workspace, new_arrival(), instances)
    assert {outcome.result for outcome in outcomes} <= {"stored", "conflict"}


def test_several_large_packs_are_joined_by_storage_and_redirected_to(make_client: Callable[..., Client]) -> None:
    """Twice the same question is the same object and the same URL within the window."""
    client = make_client(inline_limit=20_000)
    instances = [make.instance(number, size=64) for number in (1, 2, 3)]
    for data in instances:
        _store_directly(client, [data])
    replies = [client.send("GET", f"/studies/{make.STUDY}", {"Accept": STORED}, follow=False) for _ in range(2)]
    assert [reply.status for reply in replies] == [307, 307]
    assert replies[0].headers["location"].partition("?")[0] == replies[1].headers["location"].partition("?")[0]
    assert replies[0].headers["location"].startswith(f"/blobs/exports/{client.archive}/")
    assert [content for _, content in client.blob(replies[0]).parts()] == instances


def test_a_pack_with_something_not_current_is_never_redirected_to(make_client: Callable[..., Client]) -> None:
    """Live ranges are composed instead: the conflicting version is in the pack, and not in the answer."""
    client = make_client(inline_limit=20_000)
    current = [make.instance(number, size=64) for number in (1, 2)]
    _store_directly(client, current)
    late = [make.instance(2, size=64, PatientID="P-2"), make.instance(3, size=64)]
    _store_directly(client, late)
    reply = client.send("GET", make.url(), {"Accept": STORED}, follow=False)
    assert reply.headers["location"].startswith(f"/blobs/exports/{client.archive}/")
    assert [content for _, content in client.blob(reply).parts()] == [*current, late[1]]


def test_the_default_is_explicit_little_endian_and_lossy_parts_stay_as_stored(client: Client) -> None:
    """PS3.18 8.7.8: a mixed series is a 200."""
    lossy = (OWN_SAMPLES / "files" / "SC_rgb_jpeg_dcmtk.dcm").read_bytes()
    client.stow(make.instance(1), make.instance(2, syntax=ImplicitVRLittleEndian), make.instance(3, syntax=RLELossless))
    client.stow(lossy)
    assert _syntaxes(client.get(make.url(), DEFAULT)) == [ExplicitVRLittleEndian] * 3
    header = WholeInstance(lossy).header
    path = f"/studies/{header.study_instance_uid}/series/{header.series_instance_uid}"
    assert _syntaxes(client.get(path)) == [JPEGBaseline8Bit]
    named = f"{DEFAULT}; transfer-syntax={ExplicitVRLittleEndian}"
    assert _syntaxes(client.get(path, named)) == [ExplicitVRLittleEndian]


def test_a_part_that_cannot_be_converted_stays_as_stored(client: Client) -> None:
    """A JPEG stream that is none: the default gives it as it is; named Explicit VR Little Endian is 406."""
    ds = make.dataset()
    ds.PixelData = encapsulate([b"\x00\x00\x00\x18ftypmp42" * 4])
    ds["PixelData"].is_undefined_length = True
    data = make.part10(ds, "1.2.840.10008.1.2.4.57")
    client.stow(data)
    assert client.get(make.url(1), DEFAULT).parts()[0][1] == data
    assert client.get(make.url(1), f"{DEFAULT}; transfer-syntax={ExplicitVRLittleEndian}").status == 406


def test_a_converted_instance_shows_the_same_picture(client: Client) -> None:
    """RLE to native."""
    data = make.instance(1, syntax=RLELossless)
    client.stow(data)
    ((_, converted),) = client.get(make.url(1), DEFAULT).parts()
    assert WholeInstance(converted).native_frame(1) == WholeInstance(data).native_frame(1)
    assert len(client.get(make.url(1), STORED).parts()[0][1]) == len(data)


def test_a_large_conversion_is_made_once_and_redirected_to(make_client: Callable[..., Client]) -> None:
    """The second request finds the export."""
    client = make_client(inline_limit=20_000)
    _store_directly(client, [make.instance(number, size=64, syntax=RLELossless) for number in (1, 2, 3)])
    replies = [client.send("GET", make.url(), {"Accept": DEFAULT}, follow=False) for _ in range(2)]
    assert {reply.status for reply in replies} == {307}
    assert len({reply.headers["location"].partition("?")[0] for reply in replies}) == 1
    assert _syntaxes(client.blob(replies[1])) == [ExplicitVRLittleEndian] * 3


def test_a_conversion_that_takes_too_long_goes_on_with_the_next_request(
    make_client: Callable[..., Client], monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 with Retry-After, then 307; nothing is done twice; the parts are all there in the end."""
    client = make_client(inline_limit=20_000)
    originals = [make.instance(number, size=64, syntax=RLELossless) for number in range(1, 7)]
    _store_directly(client, originals)
    done: list[str] = []

    def counted(workspace: Workspace, ref: InstanceRef, target: str) -> tuple[bytes, str]:
        done.append(ref.sop_instance_uid)
        return convert(workspace, ref, target)

    convert = conversion.convert
    monkeypatch.setattr(conversion, "convert", counted)
    monkeypatch.setattr(steps, "CONVERSION_SECONDS", 2.5)
    ticks = itertools.count()
    monkeypatch.setitem(ROUTES["/studies/{study}/series/{series}"], "GET", _ticking(ticks))  # type: ignore[arg-type]
    replies = [client.send("GET", make.url(), {"Accept": DEFAULT}, follow=False)]
    while replies[-1].status == 503:
        assert replies[-1].headers["retry-after"] == "1"
        replies.append(client.send("GET", make.url(), {"Accept": DEFAULT}, follow=False))
    assert len(replies) >= 3
    assert done == [make.sop(number) for number in range(1, 7)]
    parts = client.blob(replies[-1]).parts()
    for (_, content), original in zip(parts, originals, strict=True):
        assert WholeInstance(content).native_frame(1) == WholeInstance(original).native_frame(1)


def _ticking(ticks: Iterator[int]) -> Operation:
    """Retrieve with a clock that a look at moves on by a second."""
    return Operation(Action.READ, lambda request: retrieve(request, clock=lambda: float(next(ticks))))


def test_a_syntax_that_we_cannot_make_is_406_unless_something_else_fits(client: Client, series: list[bytes]) -> None:
    """406 only for a named syntax; the next range of the list is tried."""
    htj2k = f"{DEFAULT}; transfer-syntax=1.2.840.10008.1.2.4.201"
    assert client.get(make.url(), htj2k).status == 406
    assert client.get(make.url(), f"{htj2k}, {STORED};q=0.1").status == 200


def test_one_instance_comes_as_a_single_part_when_asked(client: Client, series: list[bytes]) -> None:
    """Table 10.4.4-1; a series does not."""
    reply = client.get(make.url(2), "application/dicom; transfer-syntax=*")
    assert reply.headers["content-type"] == f"application/dicom; transfer-syntax={ExplicitVRLittleEndian}"
    assert reply.body == series[1]
    assert client.get(make.url(), "application/dicom").status == 406


def test_what_was_read_before_is_304_until_something_changes(client: Client, series: list[bytes]) -> None:
    """ETag and If-None-Match, of instances and of metadata; the ETag changes when something is stored."""
    study = f"/studies/{make.STUDY}"
    for number, path in enumerate((study, make.url(), f"{study}/metadata", f"{make.url()}/metadata"), 9):
        etag = client.get(path).headers["etag"]
        assert client.get(path, If_None_Match=etag).status == 304
        client.stow(make.instance(number))
        changed = client.get(path, If_None_Match=etag)
        assert changed.status == 200
        assert changed.headers["etag"] != etag


def test_an_instances_etag_is_that_of_the_version_that_is_shown(client: Client, series: list[bytes]) -> None:
    """Of the instance and of its metadata: 304 until another version is made current."""
    client.stow(make.instance(1, PatientComments="another"))
    paths = (make.url(1), f"{make.url(1)}/metadata")
    etags = [client.get(path).headers["etag"] for path in paths]
    assert [client.get(p, If_None_Match=tag).status for p, tag in zip(paths, etags, strict=True)] == [304, 304]
    (conflict,) = client.get(f"/studies/{make.STUDY}/conflicts").json()["conflicts"]
    decision = {"kind": "promote", "version": conflict["versions"][1]["version"], "reason": "the right one"}
    body = json.dumps(decision).encode()
    assert client.send("POST", f"{make.url(1)}/decisions", {"Content-Type": "application/json"}, body).status == 200
    for path, etag in zip(paths, etags, strict=True):
        changed = client.get(path, If_None_Match=etag)
        assert changed.status == 200
        assert changed.headers["etag"] != etag


@pytest.mark.parametrize(
    ("path", "status", "reason"),
    [
        ("/studies/1.2.3", 404, "no such study"),
        (f"/studies/{make.STUDY}/series/1.2.3", 404, "no such series"),
        (f"{make.url()}/instances/1.2.3", 404, "no such instance"),
        (make.url(1, study="1.2.3"), 404, "a right instance under a wrong study"),
        (make.url(1, series=OTHER_SERIES), 404, "a right instance under a wrong series"),
        ("/studies/not-a-uid", 400, "no UID"),
        ("/studies/..", 400, "dots"),
    ],
    ids=lambda value: value if isinstance(value, str) and "/" not in value else "",
)
@pytest.mark.parametrize("below", ["", "/metadata"])
def test_what_is_not_there_is_not_found(
    client: Client, series: list[bytes], path: str, below: str, status: int, reason: str
) -> None:
    """404 or 400, never 500, with problem details."""
    reply = client.get(path + below)
    assert reply.status == status
    assert reply.json()["status"] == status


def test_a_deleted_study_is_gone_everywhere(client: Client, series: list[bytes]) -> None:
    """204, then 410 while it is in the trash; others are untouched."""
    other = "1.2.826.0.1.3680043.8.498.55"
    client.stow(make.instance(1, study=other, series=other + ".1"))
    assert client.send("DELETE", f"/studies/{make.STUDY}").status == 204
    for path in (f"/studies/{make.STUDY}", f"{make.url()}/metadata", make.url(1), f"{make.url(1)}/frames/1"):
        assert client.get(path).status == 410, path
    assert client.send("DELETE", f"/studies/{make.STUDY}").status == 410
    assert [item["0020000D"]["Value"] for item in client.get("/studies").json()] == [[other]]
    assert client.send("DELETE", "/studies/1.2.3").status == 404
    assert client.send("DELETE", "/studies/x").status == 400


def test_metadata_is_dicom_json_with_absolute_bulk_data_urls(client: Client) -> None:
    """Of study, series and instance; the URL gives exactly the bytes."""
    ds = make.dataset(size=64)
    client.stow(make.part10(ds))
    for path in (f"/studies/{make.STUDY}", make.url(), make.url(1)):
        (item,) = client.metadata(path)
        assert item["00100010"]["Value"] == [{"Alphabetic": "Nguyễn^Văn Thử"}]
        assert item["00080005"]["Value"] == ["ISO_IR 192"]
        uri = item["7FE00010"]["BulkDataURI"]
        assert uri == f"https://{HOST}/dicomweb/{client.archive}{make.url(1)}/bulkdata/7FE00010"
        assert client.get(uri, "application/octet-stream").body == ds.PixelData


def test_metadata_is_one_gzip_member_or_plain_as_the_client_can(client: Client, series: list[bytes]) -> None:
    """And the same document both ways."""
    packed = client.get(f"{make.url()}/metadata", Accept_Encoding="gzip, br")
    plain = client.get(f"{make.url()}/metadata")
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert gzip.decompress(packed.body) == plain.body
    assert [item["00200013"]["Value"] for item in plain.json()] == [[1], [2], [3]]


def test_metadata_above_the_limit_is_a_redirect(make_client: Callable[..., Client]) -> None:
    """Stored compressed when the client takes that."""
    client = make_client(inline_limit=500)
    _store_directly(client, [make.instance(number) for number in (1, 2)])
    reply = client.get(f"{make.url()}/metadata")
    assert len(json.loads(reply.body)) == 2
    packed = client.get(f"{make.url()}/metadata", Accept_Encoding="gzip")
    assert json.loads(gzip.decompress(packed.body)) == reply.json()


READABLE = [template for template, operations in ROUTES.items() if "GET" in operations]
WADO_URI = f"?requestType=WADO&studyUID={make.STUDY}&seriesUID={make.SERIES}&objectUID={make.sop(1)}"


@pytest.mark.parametrize("template", READABLE)
def test_head_answers_like_get_without_the_body(client: Client, template: str) -> None:
    """Of every resource, where there is something to read: the same status and headers (RFC 9110 9.3.2)."""
    client.stow(make.instance(1))
    client.stow(make.instance(1, PatientComments="another"))
    (conflict,) = client.get(f"/studies/{make.STUDY}/conflicts").json()["conflicts"]
    arrival = "01J00000000000000000000001"
    client.runtime.archive_store(ArchiveId(client.archive)).quarantine(arrival, b"broken", {"reason": "not-dicom"})
    names = make.IN_PATHS | {"version": conflict["versions"][1]["version"], "item": arrival}
    path = re.sub(r"\{([^}]+)\}", lambda found: names[found[1]], template) + WADO_URI * (template == "/wado")
    head, get = (client.send(method, path, follow=False) for method in ("HEAD", "GET"))
    assert get.status == {"/workitems": 501, "/erasures/{erasure}": 404, "/quarantine/{item}": 307}.get(template, 200)
    assert (head.status, head.body) == (get.status, b"")
    # A multipart's boundary is drawn anew for each answer.
    compared = [{k: re.sub("boundary=.*", "", v) for k, v in each.headers.items()} for each in (head, get)]
    assert compared[0] == compared[1]
