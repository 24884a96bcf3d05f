"""Rows as bytes, and what rows cost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import ROOT

from maypacs.index import costs
from maypacs.index.dynamodb_table import create_table_request
from maypacs.index.packing import pack_item, unpack_item
from maypacs.index.sqlite_table import SqliteTable, first_after

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=9)  # no lone surrogates: they are not text
names = text.filter(lambda name: name not in ("", "\0"))
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.binary(max_size=9), text),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(names, inner, max_size=3)),
    max_leaves=12,
)


@given(st.dictionaries(names, values, max_size=5))
def test_packing_is_reversible(item: dict[str, Any]) -> None:
    """Types, order and bytes at any depth."""
    found = unpack_item(pack_item(item))
    assert found == item
    assert repr(found) == repr(item)


@pytest.mark.parametrize("text", ['{"\\u0000":[0,1]}', '{"\0":[0,1]}', '"\0":', "\0"])
def test_text_that_looks_like_the_mark_is_text(text: str) -> None:
    """Quotes inside a JSON string are escaped, so the mark cannot be forged."""
    item = {"a": text, "b": b"\x01", "c": [text, {"d": b"\x02"}]}
    assert unpack_item(pack_item(item)) == item


@pytest.mark.parametrize(
    "item",
    [{"a": {"\0": [0, 1]}}, {"\0": 1}, {"a": object()}, {"a": 2**70}],
    ids=["the mark inside", "the mark as a name", "no value at all", "beyond 64 bits"],
)
def test_what_cannot_be_packed_is_refused(item: dict[str, Any]) -> None:
    """Rather than read back as something else."""
    with pytest.raises(ValueError, match="not a row"):
        pack_item(item)


@given(st.text(min_size=1, max_size=4), st.text(max_size=2))
def test_the_first_text_after_a_prefix_bounds_it_tightly(prefix: str, more: str) -> None:
    """Above all that start with it, and nothing between."""
    above = first_after(prefix)
    if above is None:
        assert set(prefix) == {"\U0010ffff"}
    else:
        assert (prefix + more).encode() < above.encode()
        assert not above.startswith(prefix)
        assert above <= prefix[:-1] + chr(0x10FFFF) or len(above) < len(prefix)


COSTS = [
    # (write units, what happens, why)
    (1, [{"n": 1}], "a small row"),
    (4, [{"blob": bytes(3_500)}], "a unit a KB begun"),
    (2, [{"gpk": "g", "gsk": "1"}], "and one for the index"),
    (2, [{"blob": bytes(10)}, {"blob": bytes(20)}], "replaced: the larger of both"),
    (4, [{"gpk": "g", "gsk": "1"}, {"gpk": "g", "gsk": "1", "n": 1}], "the index row is replaced too"),
    (5, [{"gpk": "g", "gsk": "1"}, {"gpk": "g", "gsk": "2"}], "moved in the index: out and in"),
    (4, [{"gpk": "g", "gsk": "1"}, {"n": 1}], "out of the index"),
]


@pytest.mark.parametrize(("units", "writes", "why"), COSTS)
def test_write_units_are_estimated_as_dynamodb_bills(
    tmp_path: Path, units: float, writes: list[dict[str, Any]], why: str
) -> None:
    """SQLite costs nothing of the kind: the figure tells what AWS would ask."""
    table = SqliteTable(tmp_path / "index.db")
    for write in writes:
        table.put({"pk": "p", "sk": "s", **write})
    assert table.consumed.write_units == units, why
    table.close()


@pytest.mark.parametrize(
    ("size", "consistent", "units"),
    [(0, True, 1), (0, False, 0.5), (4096, True, 1), (4097, True, 2), (9000, False, 1.5)],
)
def test_read_units_are_4_kb_or_half_when_eventual(size: int, consistent: bool, units: float) -> None:
    """What is not there costs as a small row does."""
    assert costs.read_units(size, consistent=consistent) == units


class _Loader(yaml.SafeLoader):
    """Reads CloudFormation's short tags (!Ref …) as their plain values."""


def _plain_value(loader: Any, suffix: str, node: Any) -> Any:
    return node.value


_Loader.add_multi_constructor("!", _plain_value)


def test_the_tables_of_tests_are_those_of_the_template() -> None:
    """One definition: infra/data.yaml. Keys, index and projection agree."""
    text = (ROOT / "infra" / "data.yaml").read_text(encoding="utf-8")
    resources = yaml.load(text, _Loader)["Resources"]
    properties = resources["IndexTable"]["Properties"]
    wanted = create_table_request("any")
    by_name = lambda attribute: attribute["AttributeName"]  # noqa: E731
    assert sorted(properties["AttributeDefinitions"], key=by_name) == sorted(
        wanted["AttributeDefinitions"], key=by_name
    )
    for name in ("KeySchema", "GlobalSecondaryIndexes", "BillingMode"):
        assert properties[name] == wanted[name]
