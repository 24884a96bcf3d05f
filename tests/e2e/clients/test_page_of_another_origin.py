"""A page of another origin in Chromium against a node under the gateway's limits (see fetch.mjs for the steps)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from samples.phantom import write_ct
from tests.e2e.clients.browser import drive
from tests.e2e.clients.conftest import Archive
from tests.e2e.clients.corpus import read_sample, stow
from tests.e2e.clients.other_origin import serve

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.timeout(240)]


def test_a_page_of_another_origin_reads_answers_redirects_and_errors(
    new_archive: Callable[[], Archive], tmp_path: Path
) -> None:
    """What CORS is for: nothing of it shows from the same origin."""
    archive = new_archive()
    ct = [sample for path in write_ct(tmp_path / "ct", slices=16, seed=22) if (sample := read_sample(path))]
    with archive.session() as session:
        stow(session, archive.root, [sample.data for sample in ct])
    (tmp_path / "index.html").write_text("<!doctype html><title>another origin</title>")
    with serve(tmp_path) as origin:
        steps = drive(
            "fetch.mjs", page=origin, root=archive.root, token=archive.key, study=ct[0].uids[0], instance=ct[0].url
        )
    assert len(steps) == 9
