"""GDCM in a child: what kills or hangs the child is a PixelError, and the next frame is decoded again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from tests.conftest import OWN_SAMPLES

from maypacs.errors import PixelError
from maypacs.pixels import isolated
from maypacs.pixels.whole import WholeInstance

LOSSLESS = OWN_SAMPLES / "files" / "JPEG-LL.dcm"


@pytest.fixture
def child(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A child of its own."""
    made = isolated._Child()
    monkeypatch.setattr(isolated, "_child", made)
    yield made
    made.close()


def test_a_child_that_is_killed_is_a_pixel_error_once(child: Any) -> None:
    """Then a new one answers."""
    instance = WholeInstance(LOSSLESS.read_bytes())
    before, _ = instance.decode(1)
    child._process.kill()
    child._process.wait()
    after, _ = instance.decode(1)
    assert (before == after).all()


def test_a_child_that_hangs_is_killed_in_time(child: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A question that it never answers: here, one whose end never comes."""
    monkeypatch.setattr(isolated, "TIMEOUT", 0.2)
    monkeypatch.setattr(isolated, "send", lambda pipe, header, content: None)
    with pytest.raises(PixelError, match="gdcm: PixelError"):
        WholeInstance(LOSSLESS.read_bytes()).decode(1)
    monkeypatch.undo()
    assert WholeInstance(LOSSLESS.read_bytes()).decode(1)[0].shape == (1024, 256)


def test_what_gdcm_says_is_an_error_by_its_name(child: Any) -> None:
    """Not its text: it may quote anything."""
    options = {"transfer_syntax_uid": "1.2.840.10008.1.2.4.70", "rows": 1}
    with pytest.raises(PixelError, match=r"GDCM: \w+Error"):
        isolated.decode(b"\xff\xd8\xff\xd9", options)


def test_a_message_that_is_cut_is_no_message() -> None:
    """The end of the stream in the middle of an answer."""
    import io

    pipe = io.BytesIO()
    isolated.send(pipe, {"shape": [1]}, b"12345678")
    whole = pipe.getvalue()
    assert isolated.receive(io.BytesIO(whole)) == ({"shape": [1], "length": 8}, b"12345678")
    for cut in (0, 5, len(whole) - 1):
        assert isolated.receive(io.BytesIO(whole[:cut])) is None
