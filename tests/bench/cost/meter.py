"""Counts at the client what a provider bills: requests of a boto3 session by operation, and DynamoDB's units by rule.

botocore's `before-send` sees every attempt, retries and the reads past boto3 included. Units are worked out from what
is read and written (sizes as in `maypacs.index.costs`) and from the index by_date, whose writes are billed on top:
engines of tests report neither (moto answers 0.5 or 1 whatever the size). What the rules need to know, such as the row
before a write, is asked by a client of its own, which is not counted.
"""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

from maypacs.index import costs
from maypacs.index.dynamodb_table import decode_item
from maypacs.index.table import Item

_WRITES = frozenset({"PutItem", "UpdateItem", "DeleteItem"})
_READS = frozenset({"GetItem", "BatchGetItem", "Query"})
_STORING = frozenset({"PutObject", "CopyObject", "CompleteMultipartUpload"})


def index_write_units(before: Item | None, after: Item | None) -> float:
    """What a write costs in an index that projects every attribute (DynamoDB developer guide, "global secondary
    indexes", write capacity): nothing when the entry stays as it is, one write when it appears, goes or changes,
    two when its key changes."""
    old = before if before and "gpk" in before else None
    new = after if after and "gpk" in after else None
    if old is None or new is None:
        entry = old or new
        return costs.write_units(costs.item_size(entry)) if entry else 0.0
    if old == new:
        return 0.0
    sizes = costs.item_size(old), costs.item_size(new)
    if (old["gpk"], old["gsk"]) != (new["gpk"], new["gsk"]):
        return sum(map(costs.write_units, sizes))
    return costs.write_units(max(sizes))


#: Rows by the beginnings of their keys, after the archive (`maypacs.index.rows`, `terms`, `receipts`, `due`).
_KINDS = {
    "S#0": "study rows",
    "S#1": "series rows",
    "S#2": "pack heads",
    "S#3": "instance tables",
    "T#": "search terms",
    "N#": "search terms",
    "M": "months",
    "U#": "uploads",
    "C": "series to compact",
}


def row_kind(pk: str, sk: str) -> str:
    """What a row of the index is."""
    _, _, rest = pk.partition("#")
    name = f"S#{sk[:1]}" if rest.startswith("S#") else rest
    return next((kind for beginning, kind in _KINDS.items() if name.startswith(beginning)), "others")


class Meter:
    """`counts`: by name, such as ``s3.PutObject``, ``table.index.write_units``, ``secretsmanager.GetSecretValue``.

    `tables` names the tables (name of the engine's table → index, accounts). `on_object` hears the path of each object
    that is written (with its bucket, where the engine is addressed so).
    """

    def __init__(self, tables: Mapping[str, str], aside: Any, on_object: Callable[[str], None]) -> None:
        self.counts: Counter[str] = Counter()
        self.seconds = 0.0  #: CPU that counting took itself
        self.aside = aside
        self.tables, self._on_object = dict(tables), on_object
        self._state = threading.local()

    def watch(self, session: Any) -> None:
        session.events.register_first("before-send", self._before)
        session.events.register("after-call.dynamodb", self._after)

    @contextmanager
    def _own_time(self) -> Iterator[None]:
        start = time.thread_time()
        yield
        self.seconds += time.thread_time() - start

    def _before(self, request: Any, event_name: str, **_: Any) -> None:
        with self._own_time():
            _, service, operation = event_name.split(".")
            self.counts[f"{service}.{operation}"] += 1
            if service == "s3" and operation in _STORING:
                self._on_object(unquote(urlsplit(request.url).path))
            elif service == "dynamodb":
                self._state.request = body = json.loads(request.body)
                self._state.old = self._row(body) if operation in _WRITES else None

    def _after(self, parsed: Mapping[str, Any], event_name: str, **_: Any) -> None:
        with self._own_time():
            operation = event_name.rpartition(".")[2]
            body = self._state.request
            if operation in _WRITES:
                units = self._write(body, parsed)
                self._add(body["TableName"], "write_units", units)
                self._of_kind(body, units)
            elif operation == "BatchGetItem" and "Responses" in parsed:
                for table, asked in body["RequestItems"].items():
                    self._add(table, "read_units", self._batch(table, asked, parsed))
            elif operation in _READS and "Error" not in parsed:
                read = self._get if operation == "GetItem" else self._query
                self._add(body["TableName"], "read_units", read(body, parsed))

    def _add(self, table: str, what: str, units: float) -> None:
        self.counts[f"table.{self.tables[table]}.{what}"] += units  # type: ignore[assignment]

    def _of_kind(self, body: Mapping[str, Any], units: float) -> None:
        """Units of writes again, by kind of row: ``units.study rows``."""
        if self.tables[body["TableName"]] == "index":
            row = body.get("Item") or body["Key"]
            self.counts[f"units.{row_kind(row['pk']['S'], row['sk']['S'])}"] += units  # type: ignore[assignment]

    def _write(self, body: Mapping[str, Any], parsed: Mapping[str, Any]) -> float:
        old: Item | None = self._state.old
        old_size = costs.item_size(old) if old else 0
        if "Error" in parsed:  # a condition that did not hold is billed by the row that is there
            return costs.write_units(old_size)
        new = self._row(body)
        index = index_write_units(old, new)
        self.counts[f"table.{self.tables[body['TableName']]}.of_these_index"] += index  # type: ignore[assignment]
        return costs.write_units(max(old_size, costs.item_size(new) if new else 0)) + index

    def _get(self, body: Mapping[str, Any], parsed: Mapping[str, Any]) -> float:
        size = costs.item_size(decode_item(parsed["Item"])) if "Item" in parsed else 0
        return costs.read_units(size, consistent=bool(body.get("ConsistentRead")))

    def _batch(self, table: str, asked: Mapping[str, Any], parsed: Mapping[str, Any]) -> float:
        consistent = bool(asked.get("ConsistentRead"))
        sizes = [costs.item_size(decode_item(item)) for item in parsed["Responses"].get(table, ())]
        missing = len(asked["Keys"]) - len(sizes)
        return sum(costs.read_units(size, consistent=consistent) for size in [*sizes, *[0] * missing])

    def _query(self, body: Mapping[str, Any], parsed: Mapping[str, Any]) -> float:
        if "ProjectionExpression" in body:  # the whole rows are billed
            parsed = self.aside.query(**{k: v for k, v in body.items() if k != "ProjectionExpression"})
        size = sum(costs.item_size(decode_item(item)) for item in parsed["Items"])
        return costs.read_units(size, consistent=bool(body.get("ConsistentRead")))

    def _row(self, body: Mapping[str, Any]) -> Item | None:
        """The row that a write is about, as it is now."""
        row = body.get("Item") or body["Key"]
        key = {name: row[name] for name in ("pk", "sk")}
        found = self.aside.get_item(TableName=body["TableName"], Key=key, ConsistentRead=True).get("Item")
        return decode_item(found) if found else None
