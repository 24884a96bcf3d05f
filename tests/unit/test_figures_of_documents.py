"""What documents tell in words, or keep beside a file of figures, is what the figures say."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from tests.bench import compaction, scale, search
from tests.bench.cost.document import printed
from tests.bench.questions import QUESTIONS, Archive
from tests.bench.search import Filled, Measured
from tests.bench.table import FIGURES
from tests.support.deployer import ROOT

from maypacs_node.cost import counts, prices
from maypacs_node.cost.command import DEFAULT_REGION


def words(*path: str) -> str:
    """A document without its line ends."""
    return " ".join(ROOT.joinpath(*path).read_text(encoding="utf-8").split())


def test_the_tables_of_compaction_are_of_its_figures() -> None:
    """Otherwise: `python -m tests.bench.compaction`."""
    kept = json.loads((ROOT / "docs" / "compaction.json").read_text(encoding="utf-8"))
    results = {
        name: (compaction.State(**before), compaction.Cost(**cost), compaction.State(**after))
        for name, (before, cost, after) in kept.items()
    }
    assert compaction.render(results) in (ROOT / "docs" / "performance.md").read_text(encoding="utf-8")
    (ultrasound,) = (cost for name, (_, cost, _) in results.items() if name.startswith("US, an image a minute: 25"))
    told = f"take {sum(ultrasound.requests.values())} requests to S3 and {ultrasound.write_units:.0f} write units"
    assert told in words("docs", "cost.md")


def test_the_table_of_searches_is_of_the_measurements() -> None:
    """Otherwise: `python -m tests.bench.scale`."""
    kept = json.loads((scale.DOCS / "measured.json").read_text(encoding="utf-8"))
    filled: list[Filled] = [Filled(Archive(size), None) for size in kept["sizes"]]  # type: ignore[arg-type]
    by_text = {question.text: question for question in QUESTIONS}
    found = {by_text[text]: [Measured(**each) for each in rows] for text, rows in kept["searches"].items()}
    assert search.render("SQLite", filled, found) in (scale.DOCS / "measured.md").read_text(encoding="utf-8")


def test_the_edges_readme_tells_of_the_hospitals_day_what_was_simulated() -> None:
    """Otherwise: the words of edge-forwarder/README.md, after `make simulate`."""
    day = (ROOT / "docs" / "hospital-day.md").read_text(encoding="utf-8")
    studies = sum(int(row) for row in re.findall(r"^\| (?:CT|MR|DX|US) \| \d+ \| (\d+) ", day, re.MULTILINE))
    (images,) = re.findall(r"^\| images \| (\d+),", day, re.MULTILINE)
    (cpu,) = re.findall(r"^\| CPU of the edge \| ([0-9.]+) ms an image", day, re.MULTILINE)
    (minutes,) = re.findall(r"24 hours in ([0-9.]+) minutes", day)
    (grown,) = re.findall(r"^\| memory after .* \| \+([0-9.]+)% ", day, re.MULTILINE)
    text = words("edge-forwarder", "README.md")
    assert f"({studies} exams, {round(int(images), -2):,} images in {float(minutes):.0f} minutes)" in text
    assert f"took {cpu} ms of CPU an image; memory grew by {float(grown):.0f} %" in text


def test_what_compression_at_the_edge_saves_and_takes_is_what_was_measured() -> None:
    """Otherwise: the words of edge-forwarder/README.md and docs/performance.md, after `python -m tests.bench.edge`."""
    measured = (ROOT / "docs" / "benchmarks-edge.md").read_text(encoding="utf-8")
    wire = re.findall(
        r"^\| bytes on the wire, CT compressed without loss \| ([0-9.]+) \| (.+) \|$", measured, re.MULTILINE
    )
    spent = re.findall(r"^\| CPU ms an image, received, .* \| ([0-9.]+) \| (.+) \|$", measured, re.MULTILINE)
    (plain,) = re.findall(r"^\| edge, uploading .* \| ([0-9.]+) \| after fsync \|$", measured, re.MULTILINE)
    text = words("edge-forwarder", "README.md")
    assert f"CPU from reception to upload, {plain} ms an image as it came" in text
    for (share, codec), (cpu, same) in zip(wire, spent, strict=True):
        assert codec == same
        assert f"{1 / float(share):.1f} times smaller; {cpu} ms" in text, codec
    by_codec = {codec: 1 / float(share) for share, codec in wire}
    assert f"{by_codec['JPEG-LS']:.1f} times less for this CT" in words("docs", "performance.md")


def test_the_write_units_of_a_ct_are_told_as_they_were_counted() -> None:
    """By `make bench` (ingest alone, another patient) and by `make cost`; docs/cost.md says why they differ."""
    rows = json.loads(FIGURES.read_text(encoding="utf-8"))["rows"]
    found = {row["work"]: row["maypacs"] for row in rows}
    units, requests = (found[f"{what}, CT of 500 slices"] for what in ("write units", "S3 requests"))
    counted = counts.load().studies["CT500"].ingest["table.index.write_units"]
    assert f"finds {units:.0f} where the table says {counted:.0f}" in words("docs", "cost.md")
    text = words("docs", "performance.md")
    assert f"A CT of 500 slices: {requests:.0f} requests to S3 with its uploads, {units:.0f} write units" in text
    assert f"counts everything, finds {counted:.0f}, and says why" in text


@pytest.fixture(scope="module")
def bill() -> Any:
    """Of the hospital that docs/cost.md speaks of."""
    return json.loads(printed("cost --studies-per-day 300 --json"))


def _all(parts: Mapping[str, float]) -> float:
    return sum(parts.values())


def _key(bill: Any) -> float:
    parts: Mapping[str, float] = bill["key_month"]
    return _all(parts) - parts["buckets, if they had no bucket keys"]


def _read(bill: Any, how: str) -> float:
    return float(bill["per_1000_studies"][how]["MayPACS"])


Told = tuple[str, Callable[[Any], float], float, float]
#: Words of docs/cost.md, the figure, what the words say, and how far off it may be.
TOLD: tuple[Told, ...] = (
    (
        "an ingest twenty times cheaper than one object an instance",
        lambda b: b["per_1000_studies"]["ingest"]["one object an instance"] / _read(b, "ingest"),
        20,
        3,
    ),
    ("it is 1 % of the bill", lambda b: b["month"]["ingest"] / _all(b["month"]), 0.01, 0.002),
    ("Storage is more than half", lambda b: b["month"]["storage"] / _all(b["month"]), 0.6, 0.1),
    (
        "what leaves AWS a third",
        lambda b: b["month_by_service"]["egress to Viet Nam"] / _all(b["month"]),
        1 / 3,
        0.04,
    ),
    (
        "egress to Viet Nam is 95 % of what a read costs",
        lambda b: b["parts_per_1000_studies"]["read"]["egress to Viet Nam"] / _read(b, "a read in the dashboard"),
        0.95,
        0.01,
    ),
    (
        "twice the reads is nearly two fifths more in all",
        lambda b: b["sensitivities"]["twice the reads"] / _all(b["month"]),
        1.38,
        0.02,
    ),
    (
        "more than 4 dollars more for 1,000 studies than the dashboard",
        lambda b: _read(b, "a read frame by frame (OHIF)") - _read(b, "a read in the dashboard"),
        4.25,
        0.25,
    ),
    ("A month begins at 13 dollars", lambda b: _all(b["idle_month"]), 13, 0.5),
    (
        "every edge adds 0.40 dollars a month by one a minute",
        lambda b: (b["sensitivities"]["a hundred edges more"] - _all(b["month"])) / 100,
        0.40,
        0.01,
    ),
    ("is a dollar and a half a month: the key", _key, 1.5, 0.05),
    (
        "overtakes the fixed part of a month at about 50,000 studies",
        lambda b: _all(b["idle_month"]) / _read(b, "storage, fifth month and on") * 1000,
        50_000,
        5_000,
    ),
)


@pytest.mark.parametrize(("said", "figure", "value", "off"), TOLD, ids=[told[0] for told in TOLD])
def test_the_words_of_the_cost_document_are_true(
    bill: Any, said: str, figure: Callable[[Any], float], value: float, off: float
) -> None:
    """Otherwise: the words of docs/cost.md, and here."""
    assert said in words("docs", "cost.md")
    assert figure(bill) == pytest.approx(value, abs=off)


def test_the_document_of_performance_tells_the_prices_of_watching_and_moving() -> None:
    """Of 1,000 objects in Intelligent-Tiering; 25 packs and one in their first year."""
    listed = prices.load(DEFAULT_REGION)
    watched, moved = (listed.price(name).usd * 1000 for name in ("s3_int_monitoring", "s3_to_intelligent_tiering"))
    text = words("docs", "performance.md")
    assert f"takes {watched:g} dollars a month to watch 1,000 objects and {moved:g} to move them there" in text
    year = (12 * watched + moved) / 1000
    assert f"25 packs of 480 KB cost {25 * year:g} in their first year, one costs {year:.5f}" in text
