"""What is measured without a server: ingest by itself, searches as the archive grows, cold starts."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
from tests.bench.table import Table
from tests.support.fill import fill
from tests.support.processes import ROOT

from maypacs import arrivals, incoming
from maypacs.archive.s3_objects import S3Objects
from maypacs.archive.store import ArchiveStore
from maypacs.incoming import Incoming
from maypacs.index.sqlite_table import SqliteTable
from maypacs.ingest import ingest_object
from maypacs.pack import grammar
from maypacs.query import parse_query
from maypacs.search import search
from maypacs.uids import ArchiveId
from maypacs.workspace import Workspace
from maypacs_node.seaweed import SeaweedFS

HOSP = ArchiveId("hosp1")


class _Requests(Counter[str]):
    def __call__(self, event_name: str, **_: Any) -> None:
        self[event_name.rpartition(".")[2]] += 1


def ingest_cost(table: Table, ct: list[Path], folder: Path) -> None:
    """CPU of ingest for a slice, and what a CT costs in requests to S3 and write units, uploads included."""
    secret = bytes(32)
    with SeaweedFS(folder) as store, patch.dict(os.environ, store.environment):
        session = boto3.Session()
        requests = _Requests()
        session.events.register_first("before-send.s3", requests)
        with patch.object(boto3, "DEFAULT_SESSION", session):
            objects, inbox = (S3Objects(name, endpoint=store.endpoint) for name in ("archive", "inbox"))
        rows = SqliteTable(folder / "index.sqlite")
        workspace = Workspace(HOSP, rows, ArchiveStore(HOSP, objects=objects, inbox=inbox, pack_key=secret))
        read = [each for path in ct if isinstance(each := incoming.read(path.read_bytes()), Incoming)]
        read.sort(key=lambda each: each.order)
        spent = 0.0
        for start in range(0, len(read), 125):  # 64 MiB, as an edge packs them
            parts = [
                grammar.Instance(each.data, each.transfer_syntax, each.study, each.series, each.instance)
                for each in read[start : start + 125]
            ]
            body = grammar.write_pack(parts, archive_id=HOSP, secret=secret).data
            key = workspace.store.upload_key(arrivals.new_arrival())
            inbox.put(key, body)
            began = time.process_time()
            ingest_object(workspace, key, size=len(body))
            spent += time.process_time() - began
    table.row("ingest CPU for a CT slice", "ms", "lower", "under 2 ms").maypacs = spent / len(read) * 1000
    name = f"write units, CT of {len(read)} slices, the index by date apart"
    row = table.row(name, "", "lower", "90 at most for 500")
    row.maypacs = rows.consumed.write_units
    row.note = "with it 77, by the rules of DynamoDB: tests/functional/ingest"
    name = f"S3 requests, CT of {len(read)} slices, uploads included"
    table.row(name, "", "lower", "20 at most for 500").maypacs = requests.total()


def searches_as_it_grows(table: Table, folder: Path, sizes: tuple[int, ...] = (1_000, 100_000)) -> None:
    """p95 in process: what the index takes, without HTTP."""
    folder.mkdir(exist_ok=True)
    filled, rows = 0, SqliteTable(folder / "index.sqlite")
    store: Any = None  # a search reads no object
    workspace = Workspace(HOSP, rows, store)
    dice = random.Random(1)
    for size in sizes:
        fill(rows, HOSP, size - filled, first=filled)
        filled = size
        patients = [
            item["Value"][0]
            for found in search(workspace, parse_query({"limit": ["200"]}, "study")).items
            if (item := found.get("00100020"))
        ]
        for what, queries in (
            ("PatientID", [{"PatientID": [dice.choice(patients)]} for _ in range(200)]),
            ("default list", [{"limit": ["25"]}] * 200),
            ("a common name and a year", [{"PatientName": ["NGUYEN*"], "StudyDate": ["20250101-20251231"]}] * 200),
        ):
            taken, examined, before = [], 0, time.process_time()
            for query in queries:
                start = time.perf_counter()
                found = search(workspace, parse_query(query, "study"))
                taken.append((time.perf_counter() - start) * 1000)
                examined = max(examined, found.consumed.examined)
            row = table.row(f"search by {what}, {size:,} studies, in process, p95", "ms", "lower")
            row.goal = "CPU within 1.5x of 1,000" if size > sizes[0] else ""
            row.cpu_maypacs = (time.process_time() - before) / len(queries) * 1000
            row.maypacs, row.note = sorted(taken)[189], f"{examined} rows examined"


def cold_starts(table: Table) -> None:
    """Imports of each function in a fresh interpreter; what must not be there by then."""
    code = "import time, sys; a = time.process_time(); import handler; print((time.process_time() - a) * 1000)\n"
    code += "assert not {'numpy', 'pydicom'} & set(sys.modules), 'loaded too early'"
    for function in sorted(path.parent.name for path in (ROOT / "functions").glob("*/handler.py")):
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "functions" / function), "AWS_REGION": "us-east-1"}
        taken = []
        for _ in range(3):
            done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
            if done.returncode:
                break
            taken.append(float(done.stdout.split()[0]))
        goal = "under 500 ms" if function == "dicomweb" else ""
        row = table.row(f"cold start of `{function}`, imports (CPU)", "ms", "lower", goal)
        row.maypacs = min(taken) if taken else None
        row.note = "" if taken else "its imports need its environment"
