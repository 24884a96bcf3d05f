"""Deletion of studies, series and instances, and restoring, as a client sees them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.functional.dicomweb import make
from tests.functional.dicomweb.client import STORED, Client

from maypacs.index import contents
from maypacs.uids import ArchiveId, Uid

OTHER = make.SERIES + ".7"
OCTETS = "application/octet-stream"


@pytest.fixture
def stored(client: Client) -> dict[str, bytes]:
    """Three slices of one series in one pack, one slice of another."""
    slices = {make.url(number): make.instance(number) for number in (1, 2, 3)}
    other = {make.url(1, series=OTHER): make.instance(1, series=OTHER)}
    assert client.stow(*slices.values()).status == 200
    assert client.stow(*other.values()).status == 200
    return slices | other


def counts(client: Client) -> list[int]:
    """Instances of each series, as a search says."""
    return sorted(item["00201209"]["Value"][0] for item in client.get(f"/studies/{make.STUDY}/series").json())


def bytes_of(client: Client, path: str) -> set[bytes]:
    return {content for _, content in client.get(path, STORED).parts()}


def objects(client: Client, root: str) -> list[str]:
    return [head.key for head in client.runtime.archive_objects.list(f"{root}/{client.archive}/")]


def test_a_deleted_instance_is_gone_from_every_answer_and_the_rest_stays(
    client: Client, stored: dict[str, bytes]
) -> None:
    """Its pack is written anew, clean, before the answer; the old one lies in the trash; answers have other ETags."""
    before = client.get(f"{make.url()}/metadata", Accept_Encoding="gzip").headers["etag"]
    assert client.get(make.url(2), STORED).status == 200, "readers have seen it, and remember"
    assert client.send("DELETE", make.url(2)).status == 204
    for path in ("", "/metadata", "/frames/1", "/rendered", "/thumbnail", "/bulkdata/7FE00010"):
        assert client.get(make.url(2) + path).status == 410, path
    left = {path: data for path, data in stored.items() if path != make.url(2)}
    assert bytes_of(client, f"/studies/{make.STUDY}") == set(left.values())
    assert bytes_of(client, make.url()) == {stored[make.url(1)], stored[make.url(3)]}
    for path, data in left.items():
        assert bytes_of(client, path) == {data}
        assert len(client.get(f"{path}/frames/1", OCTETS).body) == 512
    assert [item["00080018"]["Value"][0] for item in client.metadata(make.url())] == [make.sop(1), make.sop(3)]
    assert client.get(f"{make.url()}/metadata", Accept_Encoding="gzip", If_None_Match=before).status == 200
    assert client.get(f"{make.url()}/instances?SOPInstanceUID={make.sop(2)}").status == 204
    assert counts(client) == [1, 2]
    archive = ArchiveId(client.archive)
    held = contents.series_contents(client.runtime.unscoped_workspace(archive), Uid(make.STUDY), Uid(make.SERIES))
    assert held.clean, "large answers may be redirected to the pack again"
    served = b"".join(client.runtime.archive_objects.get(key) for key in objects(client, "blobs/packs"))
    assert make.sop(2).encode() not in served, "no byte of it lies where anything is served from"
    assert client.send("DELETE", make.url(2)).status == 410


def test_a_deleted_series_is_gone_and_the_rest_stays(client: Client, stored: dict[str, bytes]) -> None:
    """410 for the series and all that is in it."""
    assert client.send("DELETE", make.url()).status == 204
    for path in (
        make.url(),
        f"{make.url()}/metadata",
        make.url(1),
        f"{make.url(1)}/frames/1",
        f"{make.url()}/thumbnail",
    ):
        assert client.get(path).status == 410, path
    assert bytes_of(client, f"/studies/{make.STUDY}") == {stored[make.url(1, series=OTHER)]}
    assert counts(client) == [1]
    assert client.send("DELETE", make.url()).status == 410
    assert not [key for root in ("blobs/packs", "meta") for key in objects(client, root) if f"/{make.SERIES}/" in key]


def test_the_last_instances_deletion_takes_series_and_study_along(client: Client) -> None:
    """Nothing empty is left behind, in searches neither."""
    client.stow(make.instance(1))
    assert client.send("DELETE", make.url(1)).status == 204
    assert client.get(f"/studies/{make.STUDY}").status == 410
    assert client.get("/studies").status == 204
    assert objects(client, "blobs/packs") == []


def test_what_is_not_there_is_not_deleted(client: Client, stored: dict[str, bytes]) -> None:
    """404 for what never was, 400 for what is no UID; nothing is lost."""
    for path in (
        "/studies/1.2",
        "/studies/1.2/series/1.3",
        f"{make.url()}.9",
        f"{make.url(1)}.9",
        make.url(1, study="1.2"),
    ):
        assert client.send("DELETE", path).status == 404, path
    for path in (f"/studies/{make.STUDY}/series/x", f"{make.url()}/instances/x"):
        assert client.send("DELETE", path).status == 400, path
    assert bytes_of(client, f"/studies/{make.STUDY}") == set(stored.values())


def test_what_is_sent_again_after_a_deletion_is_stored_anew(client: Client, stored: dict[str, bytes]) -> None:
    """A new upload of the same instance; the others are duplicates as ever."""
    client.send("DELETE", make.url(2))
    reply = client.stow(*(data for path, data in stored.items() if path != make.url(1, series=OTHER)))
    assert reply.status == 200
    assert bytes_of(client, f"/studies/{make.STUDY}") == set(stored.values())
    assert client.get(make.url(2), STORED).status == 200


@pytest.mark.parametrize("target", [f"/studies/{make.STUDY}", make.url(), make.url(2)])
def test_what_was_deleted_comes_back(client: Client, stored: dict[str, bytes], target: str) -> None:
    """To the byte, once; and can be deleted and restored again."""
    for _ in range(2):
        assert client.send("DELETE", target).status == 204
        assert client.get(target, STORED).status == 410
        assert client.send("POST", f"{target}/restore").status == 204
        assert bytes_of(client, f"/studies/{make.STUDY}") == set(stored.values())
        assert counts(client) == [1, 3]
    assert client.send("POST", f"/studies/{make.STUDY}.9/restore").status == 404


def test_a_restored_study_comes_without_what_was_deleted_from_it_before(
    client: Client, stored: dict[str, bytes]
) -> None:
    """Each deletion is undone by itself."""
    client.send("DELETE", make.url(1))
    client.send("DELETE", make.url(series=OTHER))
    client.send("DELETE", f"/studies/{make.STUDY}")
    assert client.send("POST", f"/studies/{make.STUDY}/restore").status == 204
    assert bytes_of(client, f"/studies/{make.STUDY}") == {stored[make.url(2)], stored[make.url(3)]}
    assert client.send("POST", f"{make.url(1)}/restore").status == 204
    assert client.send("POST", f"{make.url(series=OTHER)}/restore").status == 204
    assert bytes_of(client, f"/studies/{make.STUDY}") == set(stored.values())


def test_what_was_stored_meanwhile_stays_current_when_the_deleted_comes_back(client: Client) -> None:
    """A picture never changes under its reader; the restored one is a conflict, kept."""
    client.stow(make.instance(1))
    client.send("DELETE", make.url(1))
    newer = make.instance(1, PatientComments="another")
    client.stow(newer)
    assert client.send("POST", f"{make.url(1)}/restore").status == 204
    assert bytes_of(client, make.url(1)) == {newer}


@pytest.mark.parametrize("target", [make.url(2), make.url(), f"/studies/{make.STUDY}"])
def test_an_export_that_holds_what_was_deleted_is_neither_served_afresh_nor_left(
    make_client: Callable[..., Client], target: str
) -> None:
    """Composed answers of before: other names for what is left, and nothing below blobs/ has the bytes any more."""
    client = make_client()
    client.stow(*(make.instance(number) for number in (1, 2, 3)))
    client.stow(make.instance(1, series=OTHER))
    client = make_client(archive=client.archive, inline_limit=900)
    for path in (f"/studies/{make.STUDY}", make.url(), make.url(2)):
        for accept in (STORED, None):
            assert client.send("GET", path, {"Accept": accept} if accept else {}, follow=False).status == 307
    assert client.send("DELETE", target).status == 204
    if target != f"/studies/{make.STUDY}":
        for accept in (STORED, None):
            parts = client.get(f"/studies/{make.STUDY}", accept).parts()
            assert not [content for _, content in parts if make.sop(2).encode() in content]
    left = b"".join(client.runtime.archive_objects.get(key) for key in objects(client, "blobs/packs"))
    left += b"".join(client.runtime.archive_objects.get(key) for key in objects(client, "blobs/exports"))
    assert make.sop(2).encode() not in left
