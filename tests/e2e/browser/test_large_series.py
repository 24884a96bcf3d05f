"""A series of 5,000 slices in the dashboard, in Chromium, against a real node (see large_series.mjs for the steps)."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from tests.conftest import ROOT
from tests.e2e.browser.test_dashboard import CHROMIUM
from tests.support import large_series
from tests.support.processes import Node

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.timeout(300)]

SCRIPT = Path(__file__).with_name("large_series.mjs")
SLICES = 5_000


def test_a_person_opens_5000_slices_and_jumps_to_the_last(tmp_path: Path) -> None:
    """Each picture is the one that its number says, and the series comes in a request a pack, not one a slice."""
    files = large_series.numbered_pictures(tmp_path / "slices", SLICES)
    with Node(tmp_path / "node") as node:
        node.maypacs("archive", "add", "demo", "--title", "Bệnh viện Thử nghiệm")
        password = node.maypacs("user", "add", "reader", "--archive", "demo", "--role", "radiologist", "--title", "R")
        node.maypacs("import", "--archive", "demo", str(files))
        done = subprocess.run(
            ["node", SCRIPT, large_series.STUDY, str(SLICES)],
            env={
                **os.environ,
                "MAYPACS_URL": node.url,
                "MAYPACS_USER": "reader",
                "MAYPACS_PASSWORD": password,
                "CHROMIUM": CHROMIUM,
            },
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=200,
        )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    seen = json.loads(done.stdout)
    assert seen["numbers"] == [1, SLICES, SLICES - 11]
    assert seen["problems"] == []
    assert seen["requests"] <= 60
    assert seen["later"] <= 2, "what was loaded is not asked for again"
