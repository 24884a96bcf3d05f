"""docs/scale.md and docs/scale/ say what the figures kept beside them say."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.bench import beyond, growth, scale
from tests.bench.search import Measured
from tests.support import hospital

from maypacs_node.cost import counts
from maypacs_node.cost.hospital import Hospital
from maypacs_node.cost.ours import NEW_ROWS

TEXT = beyond.DOCUMENT.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def figures() -> Any:
    return json.loads(beyond.FIGURES.read_text(encoding="utf-8"))


def test_the_tables_are_of_the_figures(figures: Any) -> None:
    """Otherwise: `python -m tests.bench.beyond --write`."""
    assert beyond.written_anew(TEXT, figures) == TEXT


def test_the_text_says_what_the_tables_say(figures: Any) -> None:
    load = beyond.load_of(1, figures["write_units"], figures["uploads_a_study"], figures["seconds"])
    full = {
        what: limit / load[place]
        for place, (what, limit, _) in enumerate(beyond.LIMITS)
        if what.startswith(("API Gateway", "Lambda", "DynamoDB: read"))
    }
    units, at_once, packs, frames, functions = full.values()
    words = " ".join(TEXT.split())
    assert f"At 100x they are not enough (full at {at_once:.0f}x)" in words
    assert f"40,000 read units a second of a table, at {units:.0f}x" in words
    assert f"API Gateway's 10,000 requests a second come at {packs:.0f}x" in words
    assert f"the API's rate would be full at {frames:.1f}x and the account's functions at {functions:.0f}x" in words
    assert f"make {beyond.REQUESTS_BY_FRAMES} requests of the same study" in words
    assert f"The dashboard reads by packs, {beyond.REQUESTS_A_READ} requests a study" in words
    examinations = next(kind.share for kind in hospital.MIX if kind.modality == "US") * 100 * 1_000
    assert f"({examinations:,.0f} ultrasound studies a day at 1x)" in words


def test_the_text_says_how_many_lists_fill_a_month() -> None:
    """A page of 25 reads 25 studies' own partitions; the rest is the month's."""
    kept = json.loads((scale.DOCS / "measured.json").read_text(encoding="utf-8"))
    units = kept["searches"]["the dashboard's list (25)"][-1]["read_units"] - 25
    words = " ".join(TEXT.split())
    assert f"the dashboard's list reads {units:.0f} units of the present month" in words
    assert f"{round(3_000 / units, -1):.0f} lists a second" in words


def test_the_requests_of_a_reader_are_those_that_were_counted() -> None:
    """A read by packs: with its page of the list and that page's new thumbnails at most."""
    known, shares = counts.load(), Hospital(1).shares

    def mean(view: str) -> float:
        return sum(getattr(known.studies[kind], view)["api.requests"] * share for kind, share in shares.items())

    assert mean("view_by_frames") == pytest.approx(beyond.REQUESTS_BY_FRAMES, abs=1)
    assert mean("view_by_packs") <= beyond.REQUESTS_A_READ <= 2.5 * mean("view_by_packs")


def test_what_goes_with_an_upload_is_what_was_counted() -> None:
    """Requests to storage and the API, and read units; the page of the list is the one that was measured."""
    known, shares = counts.load(), Hospital(1).shares

    def mean(activity: str, *names: str) -> float:
        counted = {kind: getattr(known.studies[kind], activity) for kind in shares}
        return sum(share * sum(counted[kind].get(name, 0) for name in names) for kind, share in shares.items())

    uploads = mean("ingest", "function.ingest.calls")
    assert mean("ingest", "api.requests") / uploads == pytest.approx(beyond.API_REQUESTS, abs=0.2)
    writes = mean("ingest", "s3.PutObject", "s3.CopyObject", "s3.DeleteObject") / uploads
    assert writes == pytest.approx(beyond.S3_WRITES, abs=0.5)
    assert mean("ingest", "s3.GetObject", "s3.HeadObject") / uploads == pytest.approx(beyond.S3_READS, abs=0.5)
    units = "table.index.read_units", "table.accounts.read_units"
    assert mean("ingest", *units) == pytest.approx(beyond.READ_UNITS_A_STUDY, rel=0.1)
    measured = json.loads((scale.DOCS / "measured.json").read_text(encoding="utf-8"))
    page = measured["searches"]["the dashboard's list (25)"][-1]["read_units"]
    pictures = known.activity("list_thumbnails")
    new = sum(pictures.get(name, 0) for name in units) * NEW_ROWS / pictures["rows"]
    assert mean("view_by_packs", *units) + page + new == pytest.approx(beyond.READ_UNITS_A_READ, rel=0.1)


def test_the_drawings_and_the_table_of_taking_in_are_of_the_measurements() -> None:
    """Otherwise: `python -m tests.bench.scale`."""
    kept = json.loads((scale.DOCS / "measured.json").read_text(encoding="utf-8"))
    ingest = {int(size): growth.Ingest(**each) for size, each in kept["ingest"].items()}
    found = {
        question: [Measured(**each) for each in kept["searches"][question.text]]
        for question in scale.QUESTIONS
        if question.text in kept["searches"]
    }
    for name, drawing in scale.drawings(kept["sizes"], found, ingest).items():
        assert (scale.DOCS / name).read_text(encoding="utf-8") == drawing, name
    document = (scale.DOCS / "measured.md").read_text(encoding="utf-8")
    assert kept["made"] in document
    assert scale.ingest_table(ingest) in document
