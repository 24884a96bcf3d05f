"""The tables, and the command that prints them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from maypacs_node import cli
from maypacs_node.cost import counts, prices, report
from maypacs_node.cost.hospital import Hospital
from maypacs_node.cost.lifecycle import TIERS
from maypacs_node.cost.others import OTHERS
from maypacs_node.cost.ours import Ours
from maypacs_node.cost.prices import Price, PriceList
from maypacs_node.cost.usage import Usage


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = cli.main(["cost", *arguments])
    captured = capsys.readouterr()
    return status, captured.out, captured.err


def document(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    status, out, err = run(capsys, "--studies-per-day", "300", "--json", *arguments)
    assert (status, err) == (0, "")
    return json.loads(out)


def test_parts_are_what_the_whole_is_made_of(capsys: pytest.CaptureFixture[str]) -> None:
    """At a size where no tier of prices ends, services and works add up to the same."""
    found = document(capsys)
    assert sum(found["month_by_service"].values()) == pytest.approx(sum(found["month"].values()))
    assert sum(found["idle_month"].values()) == pytest.approx(found["month"]["idle"])
    for what, row in (("ingest", "ingest"), ("read", "a read in the dashboard")):
        parts = found["parts_per_1000_studies"][what]
        assert sum(parts.values()) == pytest.approx(found["per_1000_studies"][row]["MayPACS"])


def test_every_usage_has_a_price_and_a_service() -> None:
    """In every region, storage class and way of reading, with a key and without."""
    for region in prices.regions():
        listed = prices.load(region)
        for tier in TIERS:
            for kms in (False, True):
                ours = Ours(counts.load(), Hospital(300), tier, kms=kms)
                month = report.by_service(sum((u for u in ours.month().values()), Usage()), listed)
                assert not set(month) & set(listed.prices), "a line without the name of a service"
                for other in OTHERS:
                    there = other(ours)
                    assert (there.ingest() + there.read() + there.stored(1) + there.idle()).dollars(listed) >= 0


def test_a_service_is_found_by_the_names_of_its_prices() -> None:
    one = Price(1.0, "", "", "", ((float("inf"), 1.0),))
    names = ("s3_int_monitoring", "s3_tier1", "cloudfront_egress", "cloudfront_request", "waf_acl")
    listed = PriceList("", "", "", dict.fromkeys(names, one))
    assert report.by_service(Usage(dict.fromkeys(names, 1)), listed) == {
        "CloudFront requests and functions, WAF": 2,
        "S3 storage": 1,
        "S3 requests": 1,
        "egress to Viet Nam": 1,
    }


def test_reading_by_packs_costs_less_than_by_frames(capsys: pytest.CaptureFixture[str]) -> None:
    frames, packs = (document(capsys, "--viewer", viewer)["month"]["reads"] for viewer in ("frames", "packs"))
    assert packs < frames


def test_free_allowances_and_a_key_of_ones_own_change_the_bill(capsys: pytest.CaptureFixture[str]) -> None:
    plain, free, key = (
        sum(document(capsys, *more)["month_by_service"].values()) for more in ((), ("--free-tier",), ("--kms",))
    )
    assert free < plain < key


def test_a_price_file_of_ones_own_is_taken(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    dearer = (prices.FILES / "ap-southeast-1.toml").read_text().replace("usd = 0.00000425", "usd = 0.00000850", 1)
    dearer = dearer.replace("[333000000, 0.00000425]", "[333000000, 0.00000850]")
    own = tmp_path / "own.toml"
    own.write_text(dearer)
    plain, twice = (document(capsys, *more)["month_by_service"]["API Gateway"] for more in ((), ("--prices", str(own))))
    assert twice == pytest.approx(2 * plain)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--studies-per-day", "0"), "studies per day"),
        (("--studies-per-day", "nan"), "studies per day"),
        (("--studies-per-day", "1000001"), "not 1,000,001"),
        (("--studies-per-day", "1", "--years", "0"), "years"),
        (("--studies-per-day", "1", "--edges", "-5"), "edges"),
        (("--studies-per-day", "1", "--mix", "CT:3"), "--mix"),
        (("--studies-per-day", "1", "--mix", "PX=3"), "nobody counted"),
        (("--studies-per-day", "1", "--region", "mars"), "mars"),
        (("--studies-per-day", "1", "--prices", "/no/such/file"), "/no/such/file"),
    ],
)
def test_nonsense_is_one_sentence(capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], why: str) -> None:
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (1, "")
    assert err.startswith("maypacs: ")
    assert err.count("\n") == 1
    assert why in err


def test_the_largest_hospital_that_is_allowed_is_answered(capsys: pytest.CaptureFixture[str]) -> None:
    """The tables vary it: a hundred edges more, twice the reads."""
    largest = ("--edges", "10000", "--reads-per-study", "1000", "--years", "50", "--mb-per-study", "100000")
    found = document(capsys, *largest)
    assert found["sensitivities"]["twice the reads"] > sum(found["month"].values())


@pytest.mark.parametrize("arguments", [(), ("--studies-per-day", "many"), ("--studies-per-day", "1", "--viewer", "x")])
def test_what_is_no_number_is_a_matter_of_usage(arguments: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit, match="2"):
        cli.main(["cost", *arguments])


def test_text_and_markdown_say_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    _, text, _ = run(capsys, "--studies-per-day", "300")
    _, markdown, _ = run(capsys, "--studies-per-day", "300", "--markdown")
    for title, _, rows in report.tables(document(capsys)):
        assert title in text
        assert f"### {title}" in markdown
        for row in rows:
            assert "| " + " | ".join(row) + " |" in markdown
            assert all(cell in text for cell in row)


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "0.00"), (0.00424, "0.0042"), (0.0875, "0.087"), (0.1, "0.10"), (12.345, "12.35"), (4200.4, "4,200")],
)
def test_dollars_have_the_digits_that_say_something(amount: float, text: str) -> None:
    assert report.dollars(amount) == text
