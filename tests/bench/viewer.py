"""`python -m tests.bench.viewer`: a CT opened in the dashboard, on a throttled link, by frames and by packs.

Writes docs/benchmarks-viewer.md. It needs chromium, and dcmtk for the compressed series.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import time
from pathlib import Path

import pydicom
from samples.phantom import write_ct
from tests.bench.made import jpeg_ls, workplace
from tests.bench.slow_line import slow_line
from tests.bench.table import today
from tests.support import large_series
from tests.support.processes import ROOT, Node

DOCUMENT = ROOT / "docs" / "benchmarks-viewer.md"
LINES = (20, 100)  # Mbit/s
DELAY = 0.03  # seconds, there and back
SCRIPT = Path(__file__).with_name("viewer.mjs")
LARGE_SCRIPT = ROOT / "tests" / "e2e" / "browser" / "large_series.mjs"
#: Slices, their rows and columns, and what has such series.
LARGE = ((5_000, 256, "MR"), (20_000, 64, "fMRI"))


def opened(folder: Path, slices: int) -> list[dict[str, object]]:
    """A row for each series and way. Raises RuntimeError with what the browser said."""
    series = {"CT, uncompressed": write_ct(folder / "ct", slices=slices), "CT, JPEG-LS": jpeg_ls(folder, slices)}
    with Node(folder / "node") as node:
        node.maypacs("archive", "add", "demo", "--title", "Demo")
        password = node.maypacs("user", "add", "reader", "--archive", "demo", "--role", "radiologist", "--title", "R")
        studies = []
        for name, paths in series.items():
            if not paths:
                continue
            node.maypacs("import", "--archive", "demo", str(paths[0].parent))
            studies.append((name, str(pydicom.dcmread(paths[0], stop_before_pixels=True).StudyInstanceUID), slices))
        rows = []
        for megabits in LINES:
            with slow_line(node.port, megabits=megabits, delay=DELAY) as port:
                words = [json.dumps(studies)]
                rows += [{"megabits": megabits, **row} for row in looked_at(port, password, words, SCRIPT)]
    return sorted(rows, key=lambda row: str(row["name"]), reverse=True)


def opened_large(folder: Path) -> list[dict[str, object]]:
    """A row for each series of thousands of slices. Raises RuntimeError with what the browser said."""
    rows: list[dict[str, object]] = []
    for slices, side, kind in LARGE:
        files = large_series.numbered_pictures(folder / f"{kind}-slices", slices, side=side)
        with Node(folder / f"node-{kind}") as node:
            node.maypacs("archive", "add", "demo", "--title", "Demo")
            reader = ("--archive", "demo", "--role", "radiologist", "--title", "R")
            password = node.maypacs("user", "add", "reader", *reader)
            started = time.monotonic()
            node.maypacs("import", "--archive", "demo", str(files), seconds=900)
            row = {"series": f"{kind}, {side} x {side}", "import": time.monotonic() - started}
            with slow_line(node.port, megabits=100, delay=DELAY) as port:
                (seen,) = looked_at(port, password, [large_series.STUDY, str(slices)], LARGE_SCRIPT)
            if seen["numbers"] != [1, slices, slices - 11] or seen["problems"]:
                raise RuntimeError(f"not the pictures that were asked for: {seen}")
            rows.append({**row, **seen})
        shutil.rmtree(files)
    return rows


def looked_at(port: int, password: str, words: list[str], script: Path) -> list[dict[str, object]]:
    done = subprocess.run(
        ["node", script, *words],
        env={
            **os.environ,
            "MAYPACS_URL": f"http://127.0.0.1:{port}",
            "MAYPACS_USER": "reader",
            "MAYPACS_PASSWORD": password,
        },
        capture_output=True,
        text=True,
        timeout=3600,
    )
    if done.returncode:
        raise RuntimeError(done.stdout + done.stderr)
    return [json.loads(line) for line in done.stdout.splitlines()]


def document(rows: list[dict[str, object]], large: list[dict[str, object]]) -> str:
    lines = [
        "# Benchmarks of the viewer",
        "",
        f"`python -m tests.bench.viewer`, {today()}, {platform.machine()}, {os.cpu_count()} cores; Chromium",
        "without a GPU on the same machine, behind a line of that rate and 30 ms of delay. Seconds from the click.",
        "*By the frame*: one request a slice (PS3.18 10.4.1.1.6), four at a time. *By packs*: one request a pack,",
        "slices are cut out as they arrive.",
        "",
        "| series | Mbit/s | way | requests | MB received | first picture, s | all slices, s |",
        "|---|---|---|---|---|---|---|",
    ]
    ways = {"frames": "by the frame", "packs": "by packs"}
    for row in rows:
        first, complete = f"{row['first']:.1f}", f"{row['all']:.1f}"
        series = f"{row['name']}, {row['slices']} slices"
        cells = (
            series,
            row["megabits"],
            ways[str(row["way"])],
            row["requests"],
            f"{row['megabytes']:.0f}",
            first,
            complete,
        )
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    lines += [
        "",
        "## Series of thousands of slices",
        "",
        "By packs, at 100 Mbit/s. *Jump*: the End key, before the series is there. Each picture shows its number,",
        "which is read off the screen. *Longest task*: how long the page at most answered to nothing.",
        "",
        "| series | import, s | requests | MB received | first picture, s | jump to the last, s | all slices, s "
        "| longest task, s | JavaScript's memory, MB |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in large:
        figures = [*(f"{row[name]:.1f}" for name in ("first", "jump", "all")), f"{row['longest']:.2f}"]
        shown = (
            f"{row['series']}, {row['slices']:,} slices",
            f"{row['import']:.0f}",
            row["requests"],
            f"{row['megabytes']:.0f}",
            *figures,
            f"{row['heap']:.0f}",
        )
        lines.append("| " + " | ".join(str(cell) for cell in shown) + " |")
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--slices", type=int, default=500)
    slices = parser.parse_args().slices
    if not shutil.which("chromium"):
        parser.error("chromium is needed: apt-get install chromium")
    with workplace() as folder:
        rows, large = opened(folder, slices), opened_large(folder) if slices == 500 else []
    for row in rows + large:
        print(row)
    if slices == 500:
        DOCUMENT.write_text(document(rows, large), encoding="utf-8")


if __name__ == "__main__":
    main()
