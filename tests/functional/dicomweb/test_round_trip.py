"""Every sample file: stored as it is or failed with a name; what is stored is read back in every representation.

`failures.toml` lists what does not work and why. A failure that is not in it, and an entry that works by now, fail.
"""

from __future__ import annotations

import io
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from PIL import Image
from tests.conftest import sample_files, sample_id
from tests.functional.dicomweb.client import STORED, Client, Reply

from maypacs.dicom.header import parse_header
from maypacs.dicom.transfer_syntaxes import EXPLICIT_VR_LITTLE_ENDIAN, info
from maypacs.errors import MayPACSError
from maypacs.pixels.image import has_pixels, image_pixel

FAILURES = Path(__file__).with_name("failures.toml")
DEFAULT = 'multipart/related; type="application/dicom"'


@cache
def expected() -> dict[str, dict[str, str]]:
    """path -> step -> reason."""
    listed: dict[str, dict[str, str]] = {}
    for entry in tomllib.loads(FAILURES.read_text(encoding="utf-8"))["failure"]:
        for step in entry["steps"]:
            listed.setdefault(entry["path"], {})[step] = entry["reason"]
    return listed


def _steps(client: Client, data: bytes) -> Iterator[tuple[str, str]]:
    """(step, what is wrong); "" when it went well."""
    stored = client.stow(data)
    assert stored.status in {200, 409}
    if stored.status == 409:
        reason = stored.json()["00081198"]["Value"][0]["00081197"]["Value"][0]
        yield "store", f"{reason:04X}"
        return
    yield "store", ""
    url = stored.json()["00081199"]["Value"][0]["00081190"]["Value"][0]
    back = client.get(url, STORED)
    yield "bytes", "" if back.status == 200 and back.parts()[0][1] == data else f"{back.status}"
    (metadata,) = client.metadata(url)
    yield "metadata", "" if url.endswith(metadata["00080018"]["Value"][0]) else "another instance"
    yield "default", _default(client.get(url, DEFAULT))
    if not has_pixels(metadata):
        yield "rendered", _other_rendering(client.get(f"{url}/rendered"), metadata["00080016"]["Value"][0])
        return
    if info(header_of(data)).video:
        assert client.get(f"{url}/rendered").headers["content-type"].startswith("video/")
    else:
        yield "rendered", _picture(client.get(f"{url}/rendered", "image/png"))
    yield "frame", _frame(client.get(f"{url}/frames/1"), metadata)
    thumbnail = client.get(f"{url}/thumbnail")
    yield "thumbnail", _picture(thumbnail)


def header_of(data: bytes) -> str:
    return parse_header(data).transfer_syntax_uid


def _other_rendering(reply: Reply, sop_class: str) -> str:
    """Reports and documents are shown as what they are; what has no picture (plans, waveforms) is 404."""
    kinds = {"1.2.840.10008.5.1.4.1.1.88": "text/html", "1.2.840.10008.5.1.4.1.1.104": "application/pdf"}
    expected = next((kind for prefix, kind in kinds.items() if sop_class.startswith(f"{prefix}.")), "")
    if not expected:
        return "" if reply.status == 404 else f"{reply.status}"
    return "" if reply.status == 200 and reply.headers["content-type"].startswith(expected) else f"{reply.status}"


def _picture(reply: Reply) -> str:
    if reply.status != 200:
        return f"{reply.status} {reply.json().get('detail', '')}"
    Image.open(io.BytesIO(reply.body)).load()
    return ""


def _frame(reply: Reply, metadata: dict[str, object]) -> str:
    if reply.status != 200:
        return f"{reply.status} {reply.json().get('detail', '')}"
    ((_, content),) = reply.parts()
    pixel = image_pixel(metadata)
    return "" if pixel.native_size(len(content)) == len(content) else f"{len(content)} bytes"


def _default(reply: Reply) -> str:
    ((_, content),) = reply.parts()
    header = parse_header(content)
    syntax = header.transfer_syntax_uid
    return "" if syntax == EXPLICIT_VR_LITTLE_ENDIAN or info(syntax).lossy else f"left as {syntax}"


@pytest.mark.parametrize("path", sample_files(), ids=sample_id)
def test_a_sample_goes_round_or_fails_as_listed(path: Path, make_client: Callable[..., Client]) -> None:
    """Store, fetch as stored (byte-identical), metadata, default, picture, frame, thumbnail; never a 500."""
    found = {step: why for step, why in _steps(make_client(), path.read_bytes()) if why}
    assert found.keys() == expected().get(sample_id(path), {}).keys(), found


def test_the_list_of_failures_names_samples_once_and_gives_reasons() -> None:
    """A reason is a sentence, and no entry is there twice."""
    entries = tomllib.loads(FAILURES.read_text(encoding="utf-8"))["failure"]
    paths = [entry["path"] for entry in entries]
    assert len(paths) == len(set(paths))
    assert all(len(entry["reason"]) > 15 for entry in entries)


def test_a_file_that_cannot_be_parsed_is_in_the_list() -> None:
    """The parser and STOW agree on what an instance is."""
    for path in sample_files():
        try:
            parse_header(path.read_bytes())
        except MayPACSError:
            assert "store" in expected().get(sample_id(path), {}), sample_id(path)
