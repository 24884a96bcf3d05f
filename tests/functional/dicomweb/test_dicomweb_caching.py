"""ETags, 304, Cache-Control, and URLs that repeat within their window: frames, pictures, thumbnails, WADO-URI."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.functional.dicomweb import make
from tests.functional.dicomweb.client import Client

from maypacs import small_pictures
from maypacs.archive.grants import WINDOW, HmacBlobSigner

ONE = make.url(1)
MANY = 'multipart/related; type="image/jpeg"'
WADO = f"/wado?requestType=WADO&studyUID={make.STUDY}&seriesUID={make.SERIES}&objectUID={make.sop(1)}"
#: (resource, Accept): everything that is made of pixels.
RESOURCES = [
    (f"{ONE}/frames/1", None),
    (f"{ONE}/frames/1", "application/octet-stream"),
    (f"{ONE}/rendered", None),
    (f"{ONE}/rendered", "image/png"),
    (f"{ONE}/frames/1/rendered", None),
    (f"{make.url()}/rendered", MANY),
    (f"/studies/{make.STUDY}/rendered", MANY),
    (f"{ONE}/thumbnail", None),
    (f"{ONE}/frames/1/thumbnail", None),
    (f"{make.url()}/thumbnail", None),
    (f"/studies/{make.STUDY}/thumbnail", None),
    (WADO, None),
    (f"{WADO}&contentType=application/dicom", None),
]


@pytest.mark.parametrize(("path", "accept"), RESOURCES)
def test_an_answer_has_an_etag_that_gives_304_and_is_private(client: Client, path: str, accept: str | None) -> None:
    """Kept by the client alone, asked for again each time: a right that was taken away counts at once."""
    client.stow(make.instance())
    reply = client.get(path, accept)
    assert reply.status == 200
    assert reply.headers["cache-control"] == "private, no-cache"
    assert "Authorization" in reply.headers["vary"]
    assert client.get(path, accept).headers["etag"] == reply.headers["etag"]
    for sent in (reply.headers["etag"], f'"other", W/{reply.headers["etag"]}', "*"):
        again = client.get(path, accept, If_None_Match=sent)
        assert (again.status, again.body) == (304, b"")
        assert again.headers["etag"] == reply.headers["etag"]
    assert client.get(path, accept, If_None_Match='"other"').status == 200


@pytest.mark.parametrize(("path", "accept"), RESOURCES)
def test_what_was_replaced_or_removed_is_not_confirmed(client: Client, path: str, accept: str | None) -> None:
    """After a deletion it is 410, and the same UID with other pixels has another ETag."""
    client.stow(make.instance())
    etag = client.get(path, accept).headers["etag"]
    assert client.send("DELETE", f"/studies/{make.STUDY}").status == 204
    assert client.get(path, accept, If_None_Match=etag).status in {404, 410}
    assert client.stow(make.instance(PixelData=bytes(512))).status == 200
    assert client.get(path, accept, If_None_Match=etag).status == 200


def test_each_wish_has_an_etag_of_its_own(client: Client) -> None:
    """Media type, frame, window, viewport, quality, annotation, profile."""
    client.stow(make.instance(NumberOfFrames=2, PixelData=bytes(1024)))
    wishes = ["", "?window=1,2,linear", "?window=1,2,sigmoid", "?viewport=8,8", "?quality=50", "?annotation=patient"]
    wishes += ["?annotation=technique", "?iccprofile=yes", "?iccprofile=srgb", "?accept=image/png", "?accept=image/gif"]
    tags = [client.get(f"{ONE}/rendered{wish}").headers["etag"] for wish in wishes]
    tags += [client.get(f"{ONE}/frames/{n}/thumbnail").headers["etag"] for n in (1, 2)]
    tags += [client.get(f"{ONE}/thumbnail?viewport=9,9").headers["etag"]]
    tags += [client.get(f"{ONE}/frames/{n}").headers["etag"] for n in ("1", "2", "1,2")]
    assert len(set(tags)) == len(tags)
    same = [
        client.get(f"{ONE}/rendered?annotation={w}").headers["etag"] for w in ("patient,technique", "technique,patient")
    ]
    assert len(set(same)) == 1


@pytest.fixture
def clocked(make_client: Callable[..., Client]) -> tuple[Client, list[float]]:
    """A client for whom everything is large, and the clock of the signatures."""
    client = make_client(inline_limit=100, limits="none")
    now = [1_800_000_000.0 // WINDOW * WINDOW]
    secret = bytes.fromhex(client.runtime.secrets["blob_key"])
    client.runtime.__dict__["blob_signer"] = HmacBlobSigner(secret, clock=lambda: now[0])
    return client, now


@pytest.mark.parametrize(
    ("path", "accept"),
    [(f"{ONE}/frames/1", None), (f"{ONE}/rendered?viewport=99,99", "image/png"), (WADO + "&rows=99", None)],
)
def test_a_redirect_repeats_within_its_window(
    clocked: tuple[Client, list[float]], path: str, accept: str | None
) -> None:
    """The same URL for fifteen minutes, so that browsers use what they have; then another one of the same object."""
    client, now = clocked
    client.stow(make.instance())
    headers = {"Accept": accept} if accept else {}

    def location() -> str:
        reply = client.send("GET", path, headers, follow=False)
        assert reply.status == 307
        assert reply.headers["etag"]
        assert reply.headers["cache-control"].startswith("private")
        assert client.send("GET", path, {**headers, "If-None-Match": reply.headers["etag"]}).status == 304
        return reply.headers["location"]

    first = location()
    now[0] += WINDOW - 1
    assert location() == first
    now[0] += 1
    assert location() != first
    assert location().partition("?")[0] == first.partition("?")[0]


def test_a_thumbnail_made_while_its_series_is_deleted_is_not_kept(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The removal has taken the thumbnails by then: one that comes later would show what is gone."""
    client.stow(make.instance())
    original = small_pictures.small_picture

    def slow(*arguments: object) -> bytes:
        picture = original(*arguments)  # type: ignore[arg-type]
        assert client.send("DELETE", f"/studies/{make.STUDY}").status == 204
        return picture

    monkeypatch.setattr(small_pictures, "small_picture", slow)
    client.get(f"{make.url()}/thumbnail")
    prefix = f"blobs/thumbs/{client.archive}/"
    assert [head.key for head in client.runtime.archive_objects.list(prefix)] == []
    monkeypatch.setattr(small_pictures, "small_picture", original)
    assert client.get(f"{make.url()}/thumbnail").status == 410
