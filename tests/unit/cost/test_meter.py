"""The counter of the counting run: DynamoDB's rules by hand, and requests that pass boto3 or go past it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import boto3
import pytest
from moto import mock_aws
from tests.bench.cost.meter import Meter, index_write_units, row_kind
from tests.support.tables import CREDENTIALS

from maypacs.archive.s3_objects import S3Objects
from maypacs.errors import ConditionFailedError, ObjectNotFoundError
from maypacs.index.dynamodb_table import DynamoDBTable, create_table_request
from maypacs.index.table import Absent, Item


@dataclass
class Place:
    meter: Meter
    table: DynamoDBTable
    objects: S3Objects
    written: list[str]

    def taken(self, *names: str) -> list[float]:
        counts = self.meter.counts.copy()
        self.meter.counts.clear()
        return [counts[name] for name in names]


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        aside = boto3.client("dynamodb")
        aside.create_table(**create_table_request("rows"))
        boto3.client("s3").create_bucket(Bucket="objects")
        written: list[str] = []
        session = boto3.Session()
        meter = Meter({"rows": "index"}, aside, written.append)
        meter.watch(session)
        with patch.object(boto3, "DEFAULT_SESSION", session):
            yield Place(meter, DynamoDBTable("rows"), S3Objects("objects"), written)


def row(sk: str, *, size: int = 10, **more: Any) -> Item:
    return {"pk": "p", "sk": sk, "v": "x" * size, **more}  # type: ignore[return-value]


WRITES, READS = "table.index.write_units", "table.index.read_units"


def test_a_write_is_billed_by_the_larger_of_before_and_after(place: Place) -> None:
    """A unit a KB; 1.5 KB are two, and stay two when the row shrinks."""
    place.table.put(row("a", size=1500))
    assert place.taken(WRITES, "dynamodb.PutItem") == [2, 1]
    place.table.put(row("a"))
    assert place.taken(WRITES) == [2]
    place.table.update("p", "a", set={"v": "y" * 3000})
    assert place.taken(WRITES) == [3]
    place.table.delete("p", "a")
    assert place.taken(WRITES) == [3]
    place.table.delete("p", "a")
    assert place.taken(WRITES) == [1]


def test_a_condition_that_does_not_hold_is_billed_by_the_row_that_is_there(place: Place) -> None:
    place.table.put(row("a", size=2500))
    place.taken()
    with pytest.raises(ConditionFailedError):
        place.table.put(row("a"), condition=Absent())
    assert place.taken(WRITES) == [3]


def test_writes_of_the_index_come_on_top(place: Place) -> None:
    """It appears (1 and 1), stays (1), changes its key (1 and 2), goes (1 and 1)."""
    of_index = "table.index.of_these_index"
    place.table.put(row("a", gpk="g", gsk="1"))
    assert place.taken(WRITES, of_index) == [2, 1]
    place.table.put(row("a", gpk="g", gsk="1"))
    assert place.taken(WRITES, of_index) == [1, 0]
    place.table.update("p", "a", set={"gsk": "2"})
    assert place.taken(WRITES, of_index) == [3, 2]
    place.table.delete("p", "a")
    assert place.taken(WRITES, of_index) == [2, 1]


def test_entries_of_the_index_by_hand() -> None:
    """Sizes of the entries, each rounded up by itself."""
    small, large = row("a", gpk="g", gsk="1"), row("a", gpk="g", gsk="1", size=2000)
    moved = row("a", gpk="g", gsk="2", size=2000)
    nothing = [(None, None), (None, row("a")), (row("a"), None), (small, small)]
    assert [index_write_units(*case) for case in nothing] == [0, 0, 0, 0]
    assert [index_write_units(None, small), index_write_units(large, None), index_write_units(small, large)] == [
        1,
        2,
        2,
    ]
    assert index_write_units(large, moved) == 4


def test_reads_are_4_kb_consistently_and_half_of_that_eventually(place: Place) -> None:
    place.table.put(row("a", size=5000))
    place.taken()
    place.table.get("p", "a")
    place.table.get("p", "a", consistent=False)
    place.table.get("p", "nothing")
    assert place.taken(READS, "dynamodb.GetItem") == [2 + 1 + 1, 3]


def test_rows_of_a_batch_are_rounded_up_one_by_one(place: Place) -> None:
    place.table.put(row("a", size=5000))
    place.table.put(row("b"))
    place.taken()
    place.table.get_many([("p", "a"), ("p", "b"), ("p", "nothing")])
    assert place.taken(READS, "dynamodb.BatchGetItem") == [4, 1]


def test_a_query_is_billed_for_whole_rows_added_up(place: Place) -> None:
    """Three rows of 3 KB are 9 KB: three units; the same when only keys are wanted; half when read eventually."""
    for name in "abc":
        place.table.put(row(name, size=3000))
    place.taken()
    for more in ({"consistent": True}, {"consistent": True, "keys_only": True}, {"keys_only": True}):
        place.table.query("p", **more)  # type: ignore[arg-type]
    assert place.taken(READS, "dynamodb.Query") == [3 + 3 + 1.5, 3]


def test_every_request_to_s3_is_seen_and_what_is_written_is_named(place: Place) -> None:
    """Reads go past boto3, and are seen all the same; an answer of 404 is a request too."""
    place.objects.put("meta/a.json.gz", b"1")
    assert place.objects.get("meta/a.json.gz") == b"1"
    with pytest.raises(ObjectNotFoundError):
        place.objects.head("nothing")
    place.objects.delete("meta/a.json.gz")
    assert place.taken("s3.PutObject", "s3.GetObject", "s3.HeadObject", "s3.DeleteObject") == [1, 1, 1, 1]
    assert [path[path.find("meta/") :] for path in place.written] == ["meta/a.json.gz"]


@pytest.mark.parametrize(
    ("pk", "sk", "kind"),
    [
        ("hosp1#S#1.2", "0", "study rows"),
        ("hosp1#S#1.2", "1#1.2.3", "series rows"),
        ("hosp1#S#1.2", "2#1.2.3#ab", "pack heads"),
        ("hosp1#S#1.2", "3#1.2.3#ab", "instance tables"),
        ("hosp1#S#1.2", "9", "others"),
        ("hosp1#T#mod#CT", "20261102#1.2", "search terms"),
        ("hosp1#M", "202611", "months"),
        ("hosp1#U#01M8", "0", "uploads"),
    ],
)
def test_rows_are_told_by_their_keys(pk: str, sk: str, kind: str) -> None:
    assert row_kind(pk, sk) == kind


def test_units_by_kind_are_all_the_units(place: Place) -> None:
    place.table.put({"pk": "hosp1#S#1.2", "sk": "0", "v": "x" * 1500, "gpk": "hosp1#D#202611", "gsk": "1"})
    assert place.taken(WRITES, "units.study rows") == [4, 4]
