"""Two archives with equal UIDs: no byte of one for the other, on every resource."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from tests.functional.dicomweb import make
from tests.functional.dicomweb.client import STORED, Client
from tests.functional.dicomweb.conftest import new_key

READS = [
    ("/studies", None),
    ("/series", None),
    ("/instances", None),
    (f"/studies/{make.STUDY}", STORED),
    (f"/studies/{make.STUDY}/metadata", None),
    (f"/studies/{make.STUDY}/series?includefield=all", None),
    (make.url(), STORED),
    (f"{make.url()}/metadata", None),
    (f"{make.url()}/instances?includefield=all", None),
    (make.url(1), STORED),
    (make.url(1), None),
    (f"{make.url(1)}/metadata", None),
    (f"{make.url(1)}/frames/1", None),
    (f"{make.url(1)}/rendered", "image/png"),
    (f"{make.url(1)}/bulkdata/7FE00010", None),
]
THEIRS = "Bí^Mật"


@pytest.fixture
def neighbours(make_client: Callable[..., Client]) -> tuple[Client, Client]:
    """Archives whose ids begin alike, with the same UIDs and other patients, pictures and comments."""
    from maypacs.access import accounts

    first = make_client()
    name = f"{first.archive}-0"  # hospital-1 and hospital-10 would be the tenth test's
    accounts.add_archive(first.runtime.accounts, name, name=name)
    second = dataclasses.replace(first, archive=name, key=new_key(first.runtime, name))
    first.stow(make.instance(1, size=64))
    dark = make.dataset(1, size=64, PatientName=THEIRS, PatientID="SECRET")
    dark.PixelData = b"\x21\x43" * (64 * 64)
    second.stow(make.part10(dark))
    return first, second


@pytest.mark.parametrize(("path", "accept"), READS)
def test_equal_uids_in_two_archives_never_meet(
    neighbours: tuple[Client, Client], path: str, accept: str | None
) -> None:
    """Each has its own, whoever asks first: caches, exports and thumbnails included."""
    first, second = neighbours
    for _ in range(2):
        ours, theirs = first.get(path, accept), second.get(path, accept)
        assert (ours.status, theirs.status) == (200, 200)
        assert ours.body != theirs.body
        assert b"SECRET" not in ours.body
        assert "Bí".encode() not in ours.body
        assert b"\x21\x43\x21\x43" not in ours.body
        assert "Thử".encode() not in theirs.body


def test_exports_and_redirects_are_of_ones_own_archive(make_client: Callable[..., Client]) -> None:
    """The location names the archive that was asked; a deletion in one leaves the other alone."""
    clients = [make_client(inline_limit=500, limits="none") for _ in range(2)]
    for client in clients:
        client.stow(make.instance(1), make.instance(2))
    for client in clients:
        for below in ("", "/instances/{0}/frames/1", "/instances/{0}/bulkdata/7FE00010", "/metadata"):
            path = make.url() + below.format(make.sop(1))
            reply = client.send("GET", path, follow=False)
            if reply.status == 307:
                assert f"/{client.archive}/" in reply.headers["location"], path
    assert clients[0].send("DELETE", f"/studies/{make.STUDY}").status == 204
    assert len(clients[1].metadata(make.url())) == 2
