"""The sidecar: one gzip member for clients, and the pack's facts in its header for us."""

from __future__ import annotations

import gzip
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maypacs.archive import sidecar
from maypacs.errors import PackError

DATASETS = [{"00080018": {"vr": "UI", "Value": ["1.2"]}}, {"00100010": {"vr": "PN", "Value": [{"Alphabetic": "Thử"}]}}]


@given(table=st.binary(max_size=2000) | st.none(), datasets=st.lists(st.dictionaries(st.text(), st.text()), max_size=4))
def test_what_was_written_is_read_back(table: bytes | None, datasets: list[dict[str, str]]) -> None:
    """Data sets in order, facts and table."""
    written = sidecar.encode(datasets, {"arrival": "01A"}, table)
    found = sidecar.decode(written)
    assert (found.datasets, found.facts, found.table) == (datasets, {"arrival": "01A"}, table)
    assert sidecar.table_of(written[:65_548]) == table


def test_any_gzip_reader_sees_one_json_array_one_instance_a_line() -> None:
    """Browsers and jq read what is stored, unchanged."""
    written = sidecar.encode(DATASETS, {"arrival": "01A"}, b"table")
    text = gzip.decompress(written)
    assert json.loads(text) == DATASETS
    lines = text.splitlines()
    assert (lines[0], lines[-1], len(lines)) == (b"[", b"]", 4)
    assert json.loads(lines[1].rstrip(b",")) == DATASETS[0]


def test_the_same_content_gives_the_same_bytes() -> None:
    """No time in the header: a repeated delivery writes the same object."""
    assert sidecar.encode(DATASETS, {"a": 1}, b"t") == sidecar.encode(DATASETS, {"a": 1}, b"t")


def test_a_table_too_large_for_the_header_is_left_to_an_object_beside() -> None:
    """The extra field has 65,535 bytes."""
    assert sidecar.decode(sidecar.encode([], {}, b"x" * sidecar.TABLE_LIMIT)).table == b"x" * sidecar.TABLE_LIMIT
    assert sidecar.decode(sidecar.encode([], {}, b"x" * (sidecar.TABLE_LIMIT + 1))).table is None


@pytest.mark.parametrize(
    "data",
    [b"", b"{}", gzip.compress(b"[]"), sidecar.encode(DATASETS, {}, b"t")[:-9]],
    ids=["nothing", "no gzip", "no header", "cut short"],
)
def test_what_is_no_sidecar_is_an_error(data: bytes) -> None:
    """Never a half-read one."""
    with pytest.raises(PackError):
        sidecar.decode(data)
