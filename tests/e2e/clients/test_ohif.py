"""OHIF 3.13.2 as published, from another origin, in headless Chromium (see ohif.mjs for the steps)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pydicom
import pytest
from samples.phantom import write_ct
from tests.e2e.clients.browser import drive
from tests.e2e.clients.conftest import Archive
from tests.e2e.clients.corpus import stow
from tests.e2e.clients.ohif_site import app_config, ohif_site
from tests.e2e.clients.other_origin import serve

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.timeout(400)]


def test_ohif_opens_a_stack_and_an_mpr_from_another_origin(new_archive: Callable[[], Archive], tmp_path: Path) -> None:
    """A token in the URL, CORS on every answer, pixels on the canvases."""
    archive = new_archive()
    slices = write_ct(tmp_path / "ct", slices=24, seed=11)
    with archive.session() as session:
        stow(session, archive.root, [path.read_bytes() for path in slices])
    study = str(pydicom.dcmread(slices[0], stop_before_pixels=True).StudyInstanceUID)
    config = ("text/javascript", app_config(archive.root).encode())
    with serve(ohif_site(), {"/app-config.js": config}) as origin:
        steps = drive("ohif.mjs", ohif=origin, dicomweb=archive.root, token=archive.key, study=study)
    assert len(steps) == 3
