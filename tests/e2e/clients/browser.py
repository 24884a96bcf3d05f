"""Runs a script of this folder that drives Chromium; the script prints `ok …` a step and ends with 0."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from tests.conftest import ROOT

HERE = Path(__file__).parent


def drive(script: str, *, seconds: float = 150, **settings: str) -> list[str]:
    """Its steps. ``settings`` are its environment, in capitals. An AssertionError shows all that it printed."""
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
    assert chromium, "Chromium is not installed: apt-get install chromium (or name it in CHROMIUM)"
    node = shutil.which("node")
    assert node, "Node.js is not installed"
    assert (ROOT / "frontend/node_modules/playwright-core").is_dir(), "playwright-core is missing: make setup"
    done = subprocess.run(
        [node, HERE / script],
        env={**os.environ, "CHROMIUM": chromium, **{name.upper(): value for name, value in settings.items()}},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return [line.removeprefix("ok ") for line in done.stdout.splitlines() if line.startswith("ok ")]
