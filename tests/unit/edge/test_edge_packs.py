"""The pack grammar, streamed from files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.stub_cloud import parse_pack
from tests.support.stub_edge import dataset_bytes, write_ct

from edge_forwarder.packing import packs


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5), st.from_regex(r"[A-Za-z0-9-]{1,60}", fullmatch=True))
def test_a_pack_is_read_back_part_by_part(
    tmp_path_factory: pytest.TempPathFactory, datas: list[bytes], boundary: str
) -> None:
    """Length and SHA-256 are those of the bytes; a strict reader finds each part; a boundary inside is noticed."""
    folder = tmp_path_factory.mktemp("pack")
    parts = []
    for n, data in enumerate(datas):
        (folder / str(n)).write_bytes(data)
        parts.append(packs.Part("2.25.1", "2.25.2", f"2.25.3.{n}", "1.2.840.10008.1.2.1", folder / str(n), len(data)))
    body = packs.pack("hosp1", tuple(parts), boundary)
    whole = b"".join(body.chunks())
    assert body.digest() == packs.Digest(len(whole), hashlib.sha256(whole).hexdigest())
    assert body.content_type == f'multipart/related; type="application/dicom"; boundary={boundary}'
    occurs = any(f"--{boundary}".encode() in data for data in datas)
    assert body.boundary_occurs() is occurs
    if not occurs:
        assert [part.data for part in parse_pack(whole, boundary)] == datas


@pytest.mark.parametrize("at", [0, 1, packs.CHUNK - 5, packs.CHUNK - 1, packs.CHUNK, 2 * packs.CHUNK - 3])
def test_a_boundary_across_the_border_of_two_reads_is_found(tmp_path: Path, at: int) -> None:
    """The data are searched in pieces, but not piecemeal."""
    data = bytearray(2 * packs.CHUNK + 50)
    data[at : at + 6] = b"--abcd"
    path = tmp_path / "a"
    path.write_bytes(data)
    part = packs.Part("2.25.1", "2.25.2", "2.25.3", "1.2.840.10008.1.2.1", path, len(data))
    assert packs.pack("hosp1", (part,), "abcd").boundary_occurs()
    assert not packs.pack("hosp1", (part,), "abcde").boundary_occurs()


def test_a_file_that_changes_under_the_pack_is_noticed(tmp_path: Path) -> None:
    """A digest is never computed over something else than what was received."""
    path = write_ct(tmp_path / "a.dcm", sop="2.25.1")
    body = packs.single(path, path.stat().st_size)
    assert body.content_type == "application/dicom"
    path.write_bytes(dataset_bytes(path.read_bytes()))
    with pytest.raises(OSError, match="changed its size"):
        body.digest()
