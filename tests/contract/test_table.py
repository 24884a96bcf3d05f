"""The contract of the table, on every engine: SQLite, moto, dynalite, and SQLite with pages cut at random."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.chaos_table import PAGES_ONLY, ChaosTable
from tests.support.tables import Dynalite, dynalite, moto_table

from maypacs.errors import ConditionFailedError, TableError
from maypacs.index.sqlite_table import SqliteTable
from maypacs.index.table import (
    BY_DATE,
    Absent,
    AbsentOrEquals,
    Condition,
    Consumed,
    Equals,
    Item,
    Present,
    StartKey,
    Table,
)


@pytest.fixture(scope="module")
def dynalite_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dynalite]:
    with dynalite(tmp_path_factory.mktemp("dynalite")) as server:
        yield server


@pytest.fixture(params=["sqlite", "moto", "dynalite", "chaos"])
def table(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Table]:
    if request.param == "moto":
        with moto_table() as made:
            yield made
    elif request.param == "dynalite":
        server: Dynalite = request.getfixturevalue("dynalite_server")
        yield server.new_table()
    else:
        sqlite = SqliteTable(tmp_path / "index.db")
        yield sqlite if request.param == "sqlite" else ChaosTable(sqlite, seed=7, chaos=PAGES_ONLY)
        sqlite.close()


def walk(table: Table, pk: str, **query: Any) -> list[Item]:
    """All pages."""
    items: list[Item] = []
    start: StartKey | None = None
    while True:
        page = table.query(pk, start=start, **query)
        items += page.items
        start = page.next
        if start is None:
            return items


def keys(items: list[Item], name: str = "sk") -> list[str]:
    return [item[name] for item in items]


VALUES: dict[str, Any] = {
    "text": "Nguyễn^Văn Thử",
    "empty_text": "",
    "nul": "a\0b",
    "number": 12345678901234,
    "zero": 0,
    "negative": -7,
    "true": True,
    "false": False,
    "nothing": None,
    "bytes": bytes(range(256)),
    "list": ["a", 1, True, None, b"\x00\xff", ["b", []], {"c": b"d"}],
    "map": {"x": {"y": {"z": [1, 2, b"3"]}}, "đ": "a name beyond ASCII", "bytes": b""},
    "empty_list": [],
    "empty_map": {},
}


def test_every_kind_of_value_comes_back_as_it_was(table: Table) -> None:
    """Types too: True is not 1, b"" is not None."""
    item = {"pk": "p", "sk": "s", **VALUES}
    table.put(item)
    found = table.get("p", "s")
    assert found == item
    assert {name: type(value) for name, value in found.items()} == {name: type(value) for name, value in item.items()}
    assert walk(table, "p") == [item]


def test_a_missing_row_is_none_and_an_empty_partition_has_one_last_page(table: Table) -> None:
    """Neither is an error."""
    assert table.get("p", "s") is None
    assert table.get("p", "s", consistent=False) is None
    page = table.query("p")
    assert (page.items, page.next) == ([], None)


@pytest.mark.parametrize("consistent", [True, False])
def test_many_rows_come_in_the_order_of_their_keys(table: Table, consistent: bool) -> None:
    """More than one request of DynamoDB's takes; twice the same key; None where there is no row."""
    for number in range(130):
        table.put({"pk": f"p{number % 7}", "sk": f"s{number}", "n": number, "bytes": b"x"})
    wanted = [(f"p{number % 7}", f"s{number}") for number in (*range(129, -1, -1), 5, 5)]
    keys = [*wanted, ("p1", "s0"), ("none", "none")]
    found = table.get_many(keys, consistent=consistent)
    assert [item and item["n"] for item in found.items] == [*range(129, -1, -1), 5, 5, None, None]
    assert found.items[0] == {"pk": "p3", "sk": "s129", "n": 129, "bytes": b"x"}
    assert found.consumed.examined >= 130
    assert found.consumed.read_units >= (130 if consistent else 65)
    assert table.get_many([]).items == []
    with pytest.raises(ValueError, match="not empty"):
        table.get_many([("p", "")])


def test_keys_alone_are_those_of_the_whole_rows(table: Table) -> None:
    """Of the table and of the index, in every direction, over pages."""
    for number in range(9):
        index = {"gpk": "g", "gsk": f"{9 - number}"} if number % 2 else {"gpk": "g"}
        table.put({"pk": "p", "sk": f"{number}", "n": number, "body": b"x" * 100, **index})
    for query in ({}, {"reverse": True, "limit": 2}, {"prefix": "3"}, {"between": ("2", "5")}):
        for pk, index in (("p", None), ("g", BY_DATE)):
            whole = walk(table, pk, index=index, **query)  # type: ignore[arg-type]
            keys_only = walk(table, pk, index=index, keys_only=True, **query)  # type: ignore[arg-type]
            names = ("pk", "sk", "gpk", "gsk")
            assert keys_only == [{name: item[name] for name in names if name in item} for item in whole]


def test_put_replaces_the_whole_row(table: Table) -> None:
    """Attributes of the old row do not shine through."""
    table.put({"pk": "p", "sk": "s", "a": 1, "b": 2})
    table.put({"pk": "p", "sk": "s", "b": 3})
    assert table.get("p", "s") == {"pk": "p", "sk": "s", "b": 3}


ROW = {"pk": "p", "sk": "s", "n": 1, "t": "x", "b": b"\x01"}
CONDITIONS = [
    # (condition, holds when there is no row, holds when ROW is there)
    (None, True, True),
    (Absent(), True, False),
    (Present(), False, True),
    (Equals("n", 1), False, True),
    (Equals("n", 2), False, False),
    (Equals("n", "1"), False, False),  # another type is another value
    (Equals("t", "x"), False, True),
    (Equals("b", b"\x01"), False, True),
    (Equals("b", b"\x02"), False, False),
    (Equals("absent", ""), False, False),
    (AbsentOrEquals("n", 1), True, True),
    (AbsentOrEquals("n", 2), True, False),
    (AbsentOrEquals("absent", 1), True, False),
]


@pytest.mark.parametrize("there", [False, True], ids=["no row", "row"])
@pytest.mark.parametrize("operation", ["put", "update", "delete"])
@pytest.mark.parametrize(("condition", "when_absent", "when_there"), CONDITIONS, ids=lambda value: repr(value))
def test_a_condition_lets_a_write_through_or_changes_nothing(
    table: Table, operation: str, condition: Condition | None, when_absent: bool, when_there: bool, there: bool
) -> None:
    """The same truth table for put, update and delete."""
    if there:
        table.put(ROW)
    before = table.get("p", "s")

    def write() -> None:
        if operation == "put":
            table.put({"pk": "p", "sk": "s", "new": 1}, condition=condition)
        elif operation == "update":
            table.update("p", "s", set={"new": 1}, remove=["t"], condition=condition)
        else:
            table.delete("p", "s", condition=condition)

    if when_there if there else when_absent:
        write()
        after = {
            "put": {"pk": "p", "sk": "s", "new": 1},
            "update": {**{k: v for k, v in (before or {"pk": "p", "sk": "s"}).items() if k != "t"}, "new": 1},
            "delete": None,
        }[operation]
        assert table.get("p", "s") == after
    else:
        with pytest.raises(ConditionFailedError):
            write()
        assert table.get("p", "s") == before


def test_update_refuses_keys_and_contradictions(table: Table) -> None:
    """A row keeps its key, and an attribute is set or removed."""
    with pytest.raises(ValueError, match="do not change"):
        table.update("p", "s", set={"pk": "q"})
    with pytest.raises(ValueError, match="not both"):
        table.update("p", "s", set={"a": 1}, remove=["a"])
    with pytest.raises(ValueError, match="something"):
        table.update("p", "s", set={})


def test_update_removes_what_is_not_there_and_makes_the_row(table: Table) -> None:
    """An update is a put when there is no row."""
    table.update("p", "s", set={"a": 1}, remove=["b"])
    assert table.get("p", "s") == {"pk": "p", "sk": "s", "a": 1}


AWKWARD = ["", "!", "#", "#1", "0", "1#1.2", "1#1.20", "1#1.2#", "1#1.3", "2#", "2#1#a", "A", "a", "z", "~", "é", "đ"]
AWKWARD += ["日本", "\uffff", "\U0001f600", "\U0010ffff", "a\0", "a\0b"]


def test_rows_come_in_the_order_of_their_utf8_bytes(table: Table) -> None:
    """Not of UTF-16 units, not of a language; in reverse exactly the other way round."""
    sort_keys = [f"k{key}" for key in AWKWARD]
    for sk in sort_keys:
        table.put({"pk": "p", "sk": sk})
    expected = sorted(sort_keys, key=str.encode)
    assert keys(walk(table, "p", consistent=True)) == expected
    assert keys(walk(table, "p", reverse=True)) == expected[::-1]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(
    "prefix", ["k", "k1#1.2", "k1#1.2#", "k2#", "ka", "k\U0010ffff", "k\uffff", "kz", "nothing", "k\ud7ff"]
)
def test_a_prefix_selects_what_starts_with_it_and_nothing_else(table: Table, prefix: str, reverse: bool) -> None:
    """At delimiters, at the last code point, at the edge of the surrogates."""
    sort_keys = [f"k{key}" for key in [*AWKWARD, "\ud7ff", "\ud7ffx", "\ue000"]] + ["l", "j"]
    for sk in sort_keys:
        table.put({"pk": "p", "sk": sk})
    expected = sorted((key for key in sort_keys if key.startswith(prefix)), key=str.encode, reverse=reverse)
    assert keys(walk(table, "p", prefix=prefix, reverse=reverse)) == expected


def test_between_includes_both_ends(table: Table) -> None:
    """And nothing beyond them."""
    for sk in ("20260101#a", "20260115#b", "20260131#c", "20260131~", "20260201#d"):
        table.put({"pk": "p", "sk": sk})
    assert keys(walk(table, "p", between=("20260115#b", "20260131#c"))) == ["20260115#b", "20260131#c"]
    assert keys(walk(table, "p", between=("20260102", "20260131~"), reverse=True)) == [
        "20260131~",
        "20260131#c",
        "20260115#b",
    ]
    assert walk(table, "p", between=("3", "4")) == []


def test_partitions_that_look_alike_do_not_mix(table: Table) -> None:
    """hosp1 and hosp10 are two hospitals."""
    for pk in ("hosp1#M", "hosp10#M", "hosp1#M#", "hosp1"):
        table.put({"pk": pk, "sk": "202601", "of": pk, "gpk": pk, "gsk": "1"})
    for pk in ("hosp1#M", "hosp10#M", "hosp1"):
        assert [item["of"] for item in walk(table, pk, prefix="2")] == [pk]
        assert [item["of"] for item in walk(table, pk, index=BY_DATE)] == [pk]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_pages_of_any_size_give_each_row_once(table: Table, limit: int, reverse: bool) -> None:
    """A page never holds more than its limit; following `next` gives all, in order."""
    for i in range(10):
        table.put({"pk": "p", "sk": f"{i:02}", "gpk": "g", "gsk": f"{i // 3}#{i}"})
    for query in ({"pk": "p"}, {"pk": "p", "prefix": "0"}, {"pk": "g", "index": BY_DATE}):
        found: list[str] = []
        start: StartKey | None = None
        while True:
            page = table.query(**query, limit=limit, start=start, reverse=reverse)  # type: ignore[arg-type]
            assert len(page.items) <= limit
            found += keys(page.items)
            start = page.next
            if start is None:
                break
            assert all(isinstance(value, str) for value in start.values())
        assert found == sorted((f"{i:02}" for i in range(10)), reverse=reverse)


def test_a_walk_goes_on_though_its_place_was_deleted(table: Table) -> None:
    """A start key is a place in the order, not a row."""
    for i in range(6):
        table.put({"pk": "p", "sk": str(i)})
    page = table.query("p", limit=2)
    assert page.next is not None
    seen = keys(page.items)
    for sk in seen:
        table.delete("p", sk)
    assert keys(walk_from(table, "p", page.next)) == [str(i) for i in range(6) if str(i) not in seen]


def walk_from(table: Table, pk: str, start: StartKey | None) -> list[Item]:
    items: list[Item] = []
    while start is not None:
        page = table.query(pk, start=start)
        items += page.items
        start = page.next
    return items


def test_the_index_holds_rows_with_both_keys_and_follows_them(table: Table) -> None:
    """In, moved, changed, out; whole rows come back."""
    table.put({"pk": "a", "sk": "0", "gpk": "m1", "gsk": "2", "n": 1})
    table.put({"pk": "b", "sk": "0", "gpk": "m1", "gsk": "1", "blob": b"x"})
    table.put({"pk": "c", "sk": "0", "gpk": "m1"})
    table.put({"pk": "d", "sk": "0", "gsk": "1"})
    assert keys(walk(table, "m1", index=BY_DATE), "pk") == ["b", "a"]
    assert walk(table, "m1", index=BY_DATE)[0] == {"pk": "b", "sk": "0", "gpk": "m1", "gsk": "1", "blob": b"x"}
    table.update("a", "0", set={"gpk": "m2"})
    table.update("b", "0", set={"n": 5})
    assert keys(walk(table, "m1", index=BY_DATE), "pk") == ["b"]
    assert [item["n"] for item in walk(table, "m1", index=BY_DATE)] == [5]
    assert keys(walk(table, "m2", index=BY_DATE), "pk") == ["a"]
    table.update("a", "0", set={}, remove=["gsk"])
    table.delete("b", "0")
    assert walk(table, "m1", index=BY_DATE) == walk(table, "m2", index=BY_DATE) == []


def test_rows_of_equal_index_keys_are_all_there_on_every_page(table: Table) -> None:
    """Two studies of one second; no page boundary loses one."""
    for i in range(7):
        table.put({"pk": f"s{i}", "sk": "0", "gpk": "g", "gsk": "same"})
    for reverse in (False, True):
        assert sorted(keys(walk(table, "g", index=BY_DATE, limit=2, reverse=reverse), "pk")) == [
            f"s{i}" for i in range(7)
        ]


def test_the_index_is_never_read_consistently(table: Table) -> None:
    """An index may lag, so nothing may be recomputed from it: a ValueError in every engine."""
    with pytest.raises(ValueError, match="candidates"):
        table.query("g", index=BY_DATE, consistent=True)


@pytest.mark.parametrize(
    "query",
    [
        {"index": "another"},
        {"prefix": "a", "between": ("a", "b")},
        {"limit": 0},
        {"between": ("b", "a")},
    ],
    ids=str,
)
def test_a_query_that_some_engine_refuses_is_refused_by_all(table: Table, query: dict[str, Any]) -> None:
    """So that what runs on one machine runs on AWS."""
    with pytest.raises(ValueError):
        table.query("p", **query)


@pytest.mark.parametrize(
    "item",
    [
        {"pk": "", "sk": "s"},
        {"pk": "p", "sk": ""},
        {"pk": "p", "sk": "s", "gpk": "", "gsk": "x"},
        {"pk": "p", "sk": "s", "gpk": "g", "gsk": 5},
        {"pk": "p", "sk": "s", "f": 1.5},
        {"pk": "p", "sk": "s", "deep": [{"f": 1.5}]},
        {"pk": "p", "sk": "s", "set": {1, 2}},
        {"pk": "p", "sk": "s", "map": {"": 1}},
    ],
    ids=str,
)
def test_what_is_no_row_is_refused_by_all(table: Table, item: dict[str, Any]) -> None:
    """Empty keys, index keys that are no text, floats and sets."""
    with pytest.raises(ValueError):
        table.put(item)


def test_rows_up_to_400_kb_are_stored_and_larger_ones_refused(table: Table) -> None:
    """Several of them make several pages (a page is at most 1 MB)."""
    for i in range(4):
        table.put({"pk": "p", "sk": str(i), "blob": bytes(390_000)})
    assert [len(item["blob"]) for item in walk(table, "p")] == [390_000] * 4
    assert table.query("p").next is not None
    with pytest.raises(TableError):
        table.put({"pk": "p", "sk": "x", "blob": bytes(410 * 1024)})
    with pytest.raises(TableError):
        table.put({"pk": "p" * 2049, "sk": "x"})
    with pytest.raises(TableError):
        table.put({"pk": "p", "sk": "x" * 1025})
    assert table.get("p", "x") is None


def test_what_a_call_costs_is_counted(table: Table) -> None:
    """Rows examined exactly; units as the engine says (moto says 1 whatever was done)."""
    for sk in "abc":
        table.put({"pk": "p", "sk": sk, "blob": bytes(100)})
    assert table.consumed.write_units >= 3
    total = Consumed()
    start: StartKey | None = None
    while True:
        page = table.query("p", consistent=True, start=start)
        total.add(page.consumed)
        start = page.next
        if start is None:
            break
    assert total.examined == 3
    assert total.requests >= 1
    assert total.read_units > 0


text = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
attribute = st.text("abcđ", min_size=1, max_size=3)
value = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.binary(max_size=8), text),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(attribute, inner, max_size=3)),
    max_leaves=6,
)
row = st.dictionaries(attribute, value, max_size=4)
sort_key = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=3)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.dictionaries(sort_key, row, max_size=8), prefix=sort_key, limit=st.integers(1, 4), reverse=st.booleans())
def test_a_partition_is_a_sorted_map(
    table: Table, rows: dict[str, dict[str, Any]], prefix: str, limit: int, reverse: bool
) -> None:
    """Whatever the keys and values are, a walk gives what a sorted dict would."""
    for old in walk(table, "q", consistent=True):
        table.delete("q", old["sk"])
    for sk, values in rows.items():
        table.put({"pk": "q", "sk": sk, **values})
    ordered = sorted(rows, key=str.encode, reverse=reverse)
    assert walk(table, "q", reverse=reverse, limit=limit) == [{"pk": "q", "sk": sk, **rows[sk]} for sk in ordered]
    assert keys(walk(table, "q", prefix=prefix, reverse=reverse)) == [k for k in ordered if k.startswith(prefix)]
