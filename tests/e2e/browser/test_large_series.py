"""A series of 5,000 slices in the dashboard, in Chromium, against a real node (see large_series.mjs for the steps)."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import ROOT
from tests.e2e.browser.test_dashboard import CHROMIUM
from tests.support import large_series
from tests.support.processes import Node

pytestmark = [pytest.mark.e2e, pytest.mark.browser, pytest.mark.timeout(300)]

SCRIPT = Path(__file__).with_name("large_series.mjs")
SLICES = 5_000
SIDE = 96
#: What a phone of 1 GiB keeps of them: four fifths of 64 MiB.
KEPT = 64 * 1024 * 1024 * 4 // 5 // (SIDE * SIDE * 2)


@dataclass(frozen=True, slots=True)
class Reader:
    """Opens the series in a browser."""

    url: str
    password: str

    def __call__(self, *words: str) -> dict[str, Any]:
        done = subprocess.run(
            ["node", SCRIPT, large_series.STUDY, str(SLICES), *words],
            env={
                **os.environ,
                "MAYPACS_URL": self.url,
                "MAYPACS_USER": "reader",
                "MAYPACS_PASSWORD": self.password,
                "CHROMIUM": CHROMIUM,
            },
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
        seen: dict[str, Any] = json.loads(done.stdout)
        assert seen["problems"] == []
        return seen


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    folder = tmp_path_factory.mktemp("large")
    files = large_series.numbered_pictures(folder / "slices", SLICES, side=SIDE)
    with Node(folder / "node") as node:
        node.maypacs("archive", "add", "demo", "--title", "Bệnh viện Thử nghiệm")
        password = node.maypacs("user", "add", "reader", "--archive", "demo", "--role", "radiologist", "--title", "R")
        node.maypacs("import", "--archive", "demo", str(files))
        yield Reader(node.url, password)


def test_a_person_opens_5000_slices_and_jumps_to_the_last(reader: Reader) -> None:
    """Each picture is the one that its number says, and the series comes in a request a pack, not one a slice."""
    seen = reader()
    assert seen["numbers"] == [1, SLICES, SLICES - 11]
    assert seen["requests"] <= 60
    assert seen["later"] <= 2, "what was loaded is not asked for again"


def test_a_phone_goes_through_a_series_that_its_memory_does_not_hold(reader: Reader) -> None:
    """To the end and back: every picture is the right one, few requests, and no more is kept than fits."""
    seen = reader("phone")
    assert seen["looked"] >= 15
    assert seen["wrong"] == []
    assert 0 < seen["most"] <= KEPT < SLICES
    assert seen["requests"] <= 150, "far fewer than slices"
