"""What is measured without a server: ingest by itself, searches as the archive grows."""

from __future__ import annotations

import json
import os
import random
import statistics
import time
from collections import Counter
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
from moto import mock_aws
from tests.bench.cost.meter import Meter
from tests.bench.table import Table
from tests.support import hospital
from tests.support.tables import CREDENTIALS
from tests.support.workspaces import HOSP, PACK_KEY, packs_of

from maypacs import arrivals, incoming
from maypacs.archive.s3_objects import S3Objects
from maypacs.archive.store import ArchiveStore
from maypacs.incoming import Incoming
from maypacs.index.dynamodb_table import DynamoDBTable, create_table_request
from maypacs.index.sqlite_table import SqliteTable
from maypacs.ingest import ingest_object
from maypacs.query import parse_query
from maypacs.search import search
from maypacs.workspace import Workspace
from maypacs_node.cost.counts import COUNTS
from maypacs_node.seaweed import SeaweedFS

#: Passes over the same questions, and how many there are.
_PASSES, _QUESTIONS = 15, 100


def ingest_cost(table: Table, ct: list[Path], folder: Path) -> None:
    """CPU of ingest for a slice, and what a CT costs in requests to S3 and write units, uploads included."""
    read = [each for path in ct if isinstance(each := incoming.read(path.read_bytes()), Incoming)]
    read.sort(key=lambda each: each.order)
    with SeaweedFS(folder) as store, patch.dict(os.environ, store.environment):
        objects, inbox = (S3Objects(name, endpoint=store.endpoint) for name in ("archive", "inbox"))
        rows = SqliteTable(folder / "index.sqlite")
        spent = _take_in(
            Workspace(HOSP, rows, ArchiveStore(HOSP, objects=objects, inbox=inbox, pack_key=PACK_KEY)), read
        )
    table.row("ingest CPU for a CT slice", "ms", "lower", "under 2 ms").maypacs = spent / len(read) * 1000
    counts = _counted(read)
    row = table.row(f"write units, CT of {len(read)} slices", "", "lower", "90 at most for 500")
    row.maypacs = counts["table.index.write_units"]
    row.note = (
        "by the rules of DynamoDB, counted at the adapter's client; the index by date is in it with"
        f" {counts['table.index.of_these_index']:.0f}; with the edge's uploads and thumbnails, {_whole()}"
    )
    row = table.row(f"S3 requests, CT of {len(read)} slices", "", "lower", "20 at most for 500")
    row.maypacs = sum(count for name, count in counts.items() if name.startswith("s3."))
    row.note = "PUT of the packs and ingest; beside them, " + _beside()


def _take_in(workspace: Workspace, read: list[Incoming]) -> float:
    """Seconds of CPU of ingest alone."""
    spent = 0.0
    for body in packs_of(read):
        key = workspace.store.upload_key(arrivals.new_arrival())
        workspace.store.inbox.put(key, body)
        began = time.process_time()
        ingest_object(workspace, key, size=len(body))
        spent += time.process_time() - began
    return spent


def _counted(read: list[Incoming]) -> Counter[str]:
    """The same on moto, as tests/functional/ingest/test_what_a_study_costs.py counts it."""
    with patch.dict(os.environ, CREDENTIALS), mock_aws():
        session = boto3.Session()
        meter = Meter({"index": "index"}, boto3.client("dynamodb"), lambda path: None)
        meter.watch(session)
        with patch.object(boto3, "DEFAULT_SESSION", session):
            for bucket in ("archive", "inbox"):
                boto3.client("s3").create_bucket(Bucket=bucket)
            boto3.client("dynamodb").create_table(**create_table_request("index"))
            store = ArchiveStore(HOSP, objects=S3Objects("archive"), inbox=S3Objects("inbox"), pack_key=PACK_KEY)
            workspace = Workspace(HOSP, DynamoDBTable("index"), store)
            meter.counts.clear()
            _take_in(workspace, read)
        return meter.counts


def _end_to_end() -> dict[str, float]:
    """A CT of 500 slices as `make cost` last counted it: grants, uploads, ingest, thumbnails, the edge's questions."""
    counted: dict[str, float] = json.loads(COUNTS.read_text(encoding="utf-8"))["studies"]["CT500"]["ingest"]
    return counted


def _whole() -> str:
    return f"`make cost` counted {_end_to_end()['table.index.write_units']:.0f} for 500 slices"


def _beside() -> str:
    """Requests to S3 that an upload leads to, and that neither the upload nor ingest makes."""
    thumbnails, status = (_end_to_end()[f"function.{name}.s3_requests"] for name in ("thumbnails", "console"))
    return (
        f"`make cost` counted {thumbnails:.0f} of thumbnails and {status:.0f} for the edge's questions whether they are"
        " in, for 500 slices"
    )


def searches_as_it_grows(table: Table, folder: Path, sizes: tuple[int, ...] = (1_000, 100_000)) -> None:
    """In process: what the index takes, without HTTP. The archive is a hospital's (`tests.support.hospital`); the
    patients asked for are of its first studies, which all sizes hold."""
    folder.mkdir(exist_ok=True)
    filled, rows = 0, SqliteTable(folder / "index.sqlite")
    store: Any = None  # a search reads no object
    workspace = Workspace(HOSP, rows, store)
    dice = random.Random(1)
    patients = [hospital.patient_id(hospital.patient_of(dice.randrange(sizes[0]))) for _ in range(_QUESTIONS)]
    # Of the name and a year 1,000 studies hold less than a page and what is counted beyond it: there, more is found.
    questions: dict[str, list[dict[str, list[str]]]] = {
        "PatientID": [{"PatientID": [patient]} for patient in patients],
        "default list": [{"limit": ["25"]}] * _QUESTIONS,
        "a common name": [{"PatientName": ["NGUYEN*"], "limit": ["25"]}] * _QUESTIONS,
        "a common name and a year": [{"PatientName": ["NGUYEN*"], "StudyDate": ["20250101-20251231"]}] * _QUESTIONS,
    }
    least: dict[str, float] = {}
    for size in sizes:
        for start in range(filled, size, 5_000):
            rows.put_many(hospital.rows(HOSP, min(5_000, size - start), first=start))
        filled = size
        for what, queries in questions.items():
            taken, spent, examined = _passes(workspace, queries)
            row = table.row(f"search by {what}, {size:,} studies, in process, p95", "ms", "lower")
            row.maypacs, row.cpu_maypacs, row.note = taken, spent, f"{examined} rows examined"
            if size == sizes[0]:
                least[what] = spent
            else:
                row.goal = f"CPU within 1.5x of {sizes[0]:,}" if what != "a common name and a year" else ""
                row.note += f", CPU {spent / least[what]:.2f}x"
    rows.close()


def _passes(workspace: Workspace, queries: list[dict[str, list[str]]]) -> tuple[float, float, int]:
    """p95 of a question, CPU milliseconds of one in the median pass, rows examined at most. One pass warms up."""
    taken, spent, examined = [], [], 0
    for number in range(_PASSES + 1):
        times, before = [], time.process_time()
        for query in queries:
            start = time.perf_counter()
            found = search(workspace, parse_query(query, "study"))
            times.append((time.perf_counter() - start) * 1000)
            examined = max(examined, found.consumed.examined)
        if number:
            taken += times
            spent.append((time.process_time() - before) / len(queries) * 1000)
    return sorted(taken)[int(len(taken) * 0.95) - 1], statistics.median(spent), examined
