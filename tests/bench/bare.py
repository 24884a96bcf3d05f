"""The limit: the same bytes and rows straight from the node's object store and table, what any server could do at best.

By boto3, and by the table's own class in this process."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from tests.bench.client import Answer, Server, rate
from tests.bench.made import Made
from tests.bench.servers import SEARCHES
from tests.bench.table import Table

from maypacs.archive.store import ArchiveStore
from maypacs.index.sqlite_table import SqliteTable
from maypacs.query import parse_query
from maypacs.search import search
from maypacs.uids import ArchiveId
from maypacs.workspace import Workspace
from maypacs_node.bench import object_store_client  # the node knows its own credentials

_PIECE = 1 << 20
_PROBE = "bench/limit"  #: key of what is written here, and taken away


def object_store(table: Table, data: Path, made: Made, slices_of_stow: tuple[int, ...]) -> None:
    client, bucket = object_store_client(data)
    listed: list[dict[str, Any]] = []
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        listed += page.get("Contents", ())

    def below(prefix: str, series: str) -> list[dict[str, Any]]:
        return [each for each in listed if each["Key"].startswith(prefix) and f"/{series}/" in each["Key"]]

    def get(objects: list[dict[str, Any]]) -> None:
        for each in objects:
            body = client.get_object(Bucket=bucket, Key=each["Key"])["Body"]
            while body.read(_PIECE):
                pass

    slices, series = len(made.ct), made.ct_uids[1]
    packs = below("blobs/packs/", series)
    whole = _median(lambda: get(packs))
    for what in ("RetrieveSeries as stored", "RetrieveStudy as stored", "RetrieveSeries, default Accept"):
        _limit(table, f"{what}, {slices} slices", whole)
    _limit(table, f"RetrieveStudy, default Accept, {slices} slices", whole)
    drawn = [each for each in listed if each["Key"].startswith("blobs/thumbs/") and f"/{series}." in each["Key"]]
    _limit(table, "thumbnail of a series", _median(lambda: get(drawn), times=20) * 1000)
    _limit(table, "rendered (JPEG) of a slice", 1000 / _ranges(client, bucket, packs, 524_288, 1))
    if made.jls_uids:
        kept = [each for each in listed if each["Key"].startswith("blobs/exports/") and made.jls_uids[0] in each["Key"]]
        _limit(table, f"RetrieveSeries, {len(made.jls)} JPEG-LS slices to Explicit LE", _median(lambda: get(kept)))
    _limit(table, f"series metadata, {slices} slices", _median(lambda: get(below("meta/", series)), times=20))
    where = {"frames of 524 KB": (packs, 524_288)}
    for frames, uids in made.multi_uids.items():
        where[f"frames of one instance of {frames}"] = below("blobs/packs/", uids[1]), 524_288
    if made.jls_uids:
        found = below("blobs/packs/", made.jls_uids[1])
        where["JPEG-LS frames as stored"] = found, sum(pack["Size"] for pack in found) // len(made.jls)
    for name, (objects, size) in where.items():
        _limit(table, f"{name}, 1 client", _ranges(client, bucket, objects, size, 1))
        eight = _ranges(client, bucket, objects, size, 8)
        for more in ("", ", default Accept"):
            _limit(table, f"{name}, 8 clients{more}", eight)
    bodies = [client.get_object(Bucket=bucket, Key=pack["Key"])["Body"].read() for pack in packs]

    def put(share: float) -> None:
        for body in bodies:
            if size := round(len(body) * share):
                client.put_object(Bucket=bucket, Key=_PROBE, Body=memoryview(body)[:size].tobytes())

    _limit(table, f"C-STORE of {slices} slices, one association", slices / _median(lambda: put(1), times=3))
    for count in slices_of_stow:
        _limit(
            table,
            f"STOW of {count} slices",
            _median(partial(_put_first, client, bucket, bodies, count / slices), times=3),
        )
    client.delete_object(Bucket=bucket, Key=_PROBE)


def _put_first(client: Any, bucket: str, bodies: list[bytes], share: float) -> None:
    """The first so much of all bodies, in objects as large as they are."""
    left = round(sum(map(len, bodies)) * share)
    for body in bodies:
        if left > 0:
            client.put_object(Bucket=bucket, Key=_PROBE, Body=body[:left])
            left -= len(body)


def index(table: Table, data: Path, archive: str, more: str = "") -> None:
    """What each search reads of the table, asked again of the table alone."""
    rows = _Remembering(data / "index.sqlite")
    name = ArchiveId(archive)
    store: ArchiveStore = ArchiveStore(name, objects=None, inbox=None, pack_key=b"")  # type: ignore[arg-type]
    workspace = Workspace(name, rows, store)
    for what, query, _ in SEARCHES:
        rows.calls.clear()
        search(workspace, parse_query(parse_qs(query), "study"))
        calls = list(rows.calls)
        taken = []
        for _ in range(100):
            start = time.perf_counter()
            for call in calls:
                call()
            taken.append((time.perf_counter() - start) * 1000)
        _limit(table, f"QIDO {what}{more}, p95", sorted(taken)[94])
    rows.close()


class _Remembering(SqliteTable):
    """Remembers what is read."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.calls: list[Callable[[], object]] = []

    def get(self, *args: Any, **named: Any) -> Any:
        self.calls.append(partial(super().get, *args, **named))
        return super().get(*args, **named)

    def get_many(self, *args: Any, **named: Any) -> Any:
        self.calls.append(partial(super().get_many, *args, **named))
        return super().get_many(*args, **named)

    def query(self, *args: Any, **named: Any) -> Any:
        self.calls.append(partial(super().query, *args, **named))
        return super().query(*args, **named)


def _ranges(client: Any, bucket: str, packs: list[dict[str, Any]], size: int, clients: int) -> float:
    """Ranges of `size` bytes of the largest pack, a second."""
    big = max(packs, key=lambda pack: pack["Size"])
    places = max(1, big["Size"] // size)

    class Ranges:
        """A client whose frames are ranges."""

        def __enter__(self) -> Ranges:
            return self

        def __exit__(self, *_: object) -> None: ...

        def get(self, path: str, accept: str) -> Answer:
            start = int(path) % places * size
            asked = f"bytes={start}-{start + size - 1}"
            body = client.get_object(Bucket=bucket, Key=big["Key"], Range=asked)["Body"].read()
            return Answer(206, len(body), False)

    class Bare(Server):
        def client(self) -> Ranges:  # type: ignore[override]
            return Ranges()

    return rate(Bare("bare", "", os.getpid()), list(map(str, range(2048))), "", clients=clients).a_second


def _median(call: Callable[[], object], *, times: int = 5) -> float:
    """Seconds, after one to warm up."""
    call()
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return sorted(taken)[times // 2]


def _limit(table: Table, work: str, value: float) -> None:
    """Of a row that was measured."""
    if work in table.rows:
        table.rows[work].limit = value
