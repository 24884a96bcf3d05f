"""After the storm: what the edge says of itself and leaves behind, and an index that is made anew."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from tests.support.processes import BIN, ROOT, Node
from tests.torture.cloud import Cloud
from tests.torture.compressed import Originals
from tests.torture.hospital import TorturedEdge, start

#: Files, sockets and threads that may come and go with work under way: connections that are kept, a thread an upload.
_SLACK = 8


def leaks(edge: TorturedEdge, before: tuple[int, int]) -> list[str]:
    """Of the process that runs now: descriptors, threads, and deleted files that are still open."""
    files, threads = before

    def excess() -> list[str]:
        now = edge.descriptors()
        found = [f"the edge holds a deleted file open: {Path(n).name}" for n in now if n.endswith("(deleted)")]
        if len(now) > files + _SLACK:
            found.append(f"the edge has {len(now)} descriptors open, {files} after its start")
        if edge.threads() > threads + _SLACK:
            found.append(f"the edge has {edge.threads()} threads, {threads} after its start")
        return found

    deadline = time.monotonic() + 30
    while (found := excess()) and time.monotonic() < deadline:
        time.sleep(0.5)
    return found


def of_the_edge(edge: TorturedEdge, originals: Originals, sent: set[str]) -> Iterator[str]:
    """What is wrong with what it says of itself, and leaves behind; it is stopped. ``sent``: all digests."""
    done = subprocess.run(
        [BIN / "maypacs-edge", "status", "--config", edge.config, "--json"], capture_output=True, cwd=ROOT, timeout=60
    )
    assert done.returncode == 0, done.stderr
    status = json.loads(done.stdout)
    if status["totals"]["missing"]:
        yield f"the edge misses {status['totals']['missing']} files"
    if status["waiting"]["instances"] or status["failing"]:
        yield "the edge says that something waits"
    kept = {originals.digest(path.read_bytes()) for path in (edge.spool / "attention").glob("*/*.dcm")}
    if strangers := kept - sent:
        yield f"{len(strangers)} files need attention that nobody sent"
    if edge.stop(seconds=60) != 0:
        yield "the edge did not end well"
    known = {"lock", "incoming", "received", "attention", "cache", "journal.sqlite", "ledger.sqlite"}
    if more := {path.name for path in edge.spool.iterdir() if "unreadable" in path.name} - known:
        yield f"the edge put a database aside: {sorted(more)}"


def of_a_reindex(node: Node, cloud: Cloud) -> Iterator[str]:
    """Where an index that is lost and made anew from the objects does not say the same."""
    before = cloud.rows()
    node.stop(seconds=60)
    for path in node.data.glob("index.sqlite*"):
        path.unlink()
    start(node)
    node.maypacs("reindex")
    after = cloud.rows()
    if before != after:
        keys = before[0].keys() | after[0].keys()
        differ = sorted(k for k in keys if before[0].get(k) != after[0].get(k))
        yield f"reindex made another index: {len(differ)} of {len(keys)} entries, {differ[:3]}"
