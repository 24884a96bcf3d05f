"""C-STORE to a server under test, timed; without dcmtk its rows stay empty, and what is asked for comes by STOW."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import time
import urllib.request
from pathlib import Path

from tests.bench.client import Server, cpu_seconds
from tests.bench.made import Made, uids_of
from tests.bench.servers import JSON, Measure, post, stow_body
from tests.support.processes import QUICK_TCP, wait_until

_A_STOW = 50  #: instances in one request, when there is no storescu


def send(ae_title: str, port: int, folder: Path) -> float:
    """Seconds of one storescu association."""
    start = time.perf_counter()
    command = ["storescu", "-aec", ae_title, "+sd", "+r"]
    if folder.name == "jls":
        command.append("--propose-jls-lossless")
    subprocess.run([*command, "127.0.0.1", str(port), str(folder)], env=QUICK_TCP, check=True, capture_output=True)
    return time.perf_counter() - start


def is_searchable(server: Server, study: str, instances: int) -> bool:
    url = f"{server.root}/studies?StudyInstanceUID={study}&includefield=00201208"
    request = urllib.request.Request(url, headers={**server.headers, "Accept": JSON})
    with urllib.request.urlopen(request, timeout=30) as answer:
        text = answer.read()
    found = json.loads(text) if text else []
    return bool(found) and found[0].get("00201208", {}).get("Value", [0])[0] == instances


def store(measure: Measure, made: Made, ae_title: str, port: int, edge: int = 0) -> None:
    """C-STORE of each CT, and from its last answer to where a search finds all of it; then all the rest.

    `edge`: the process that receives, where that is not the server."""
    if not shutil.which("storescu"):
        for folder in [*made.cts, made.small, *(path.parent for path in made.multi.values())]:
            _stow(measure.server, folder)
    else:
        _timed(measure, made, ae_title, port, edge)
        for folder in made.rest:
            send(ae_title, port, folder)
    for study, count in made.last:
        wait_until(lambda s=study, c=count: is_searchable(measure.server, s, c), seconds=300, what=study)  # type: ignore[misc]


def _timed(measure: Measure, made: Made, ae_title: str, port: int, edge: int) -> None:
    def cpu() -> float:
        return measure.server.cpu_seconds() + (cpu_seconds(edge) if edge else 0)

    slices = len(made.ct)
    rates, searchable, spent = [], [], []
    for folder in made.cts:
        study, _, _ = uids_of(sorted(folder.iterdir())[:1])
        before = cpu()
        rates.append(slices / send(ae_title, port, folder))
        start = time.perf_counter()
        wait_until(lambda s=study: is_searchable(measure.server, s, slices), seconds=300, what="the study")  # type: ignore[misc]
        searchable.append(time.perf_counter() - start)
        spent.append((cpu() - before) / slices * 1000)
    for work, unit, figures, goal in (
        (f"C-STORE of {slices} slices, one association", "/s", rates, "as fast; stretch 3x"),
        ("last C-STORE answer to searchable", "s", searchable, "under 3 s"),
        ("CPU of both for a slice, edge included", "ms", spent, ""),
    ):
        measure.put(work, unit, statistics.median(figures), higher=unit == "/s", goal=goal)
        row = measure.table.rows[work]
        row.note = f"median of {len(figures)} studies"
        row.path = "edge" if edge or row.path else ""
    measure.table.rows[
        f"C-STORE of {slices} slices, one association"
    ].note += "; ours after fsync; Orthanc to its own disk without"


def _stow(server: Server, folder: Path) -> None:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    with server.client() as client:
        for start in range(0, len(files), _A_STOW):
            body, content_type = stow_body([path.read_bytes() for path in files[start : start + _A_STOW]])
            if (answer := post(client, body, content_type)).status != 200:
                raise RuntimeError(f"{server.name} answered {answer.status} to a STOW")
