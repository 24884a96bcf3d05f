"""Price files: tiers, free allowances, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from maypacs_node.cost import prices
from maypacs_node.cost.prices import PriceError

HEAD = 'region = "here"\nplace = "a place"\ndate = "2026-01-01"\n'
LINE = 'unit = "request"\nsource = "somebody"\nchecked = "page"\n'


def file(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "prices.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_tiers_are_paid_one_after_the_other(tmp_path: Path) -> None:
    """10 at 2 dollars, 20 at 1, the rest at half a dollar; of 40 in a month, 5 of them free."""
    text = f"{HEAD}[price.x]\nusd = 2\ntiers = [[10, 2], [30, 1], [inf, 0.5]]\nfree = 5\n{LINE}"
    price = prices.load("", file(tmp_path, text)).price("x")
    assert price.cost(40) == 10 * 2 + 20 * 1 + 10 * 0.5
    assert price.cost(40, free=True) == 10 * 2 + 20 * 1 + 5 * 0.5
    assert [price.cost(quantity, free=True) for quantity in (0, 3, 5, 6)] == [0, 0, 0, 2]


def test_a_price_that_is_not_there_is_an_error_not_nothing(tmp_path: Path) -> None:
    listed = prices.load("", file(tmp_path, f"{HEAD}[price.x]\nusd = 2\n{LINE}"))
    with pytest.raises(PriceError, match=r"price\.y"):
        listed.price("y")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("usd = [", "not TOML"),
        (HEAD, r"no \[price"),
        (f"{HEAD}price = 3\n", r"no \[price"),
        (f"{HEAD}[price]\nx = 3\n", "a table"),
        (f"[price.x]\nusd = 2\n{LINE}", "region, place and date"),
        (f"{HEAD}[price.x]\nusd = 2\nunit = 'a'\nsource = 'b'\n", "checked"),
        (f"{HEAD}[price.x]\nusd = -1\n{LINE}", "0 or more"),
        (f"{HEAD}[price.x]\nusd = nan\n{LINE}", "0 or more"),
        (f"{HEAD}[price.x]\nusd = true\n{LINE}", "0 or more"),
        (f"{HEAD}[price.x]\nusd = 'free'\n{LINE}", "0 or more"),
        (f"{HEAD}[price.x]\nusd = 2\ntiers = [[10, 2]]\n{LINE}", "the last is inf"),
        (f"{HEAD}[price.x]\nusd = 2\ntiers = []\n{LINE}", "the last is inf"),
        (f"{HEAD}[price.x]\nusd = 2\ntiers = [[20, 2], [10, 1], [inf, 1]]\n{LINE}", "rise"),
        (f"{HEAD}[price.x]\nusd = 2\ntiers = [[10, 3], [inf, 1]]\n{LINE}", "the first tier"),
        (f"{HEAD}[price.x]\nusd = 2\ntiers = [10, 3]\n{LINE}", "pairs"),
    ],
)
def test_nonsense_is_named_by_its_place(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(PriceError, match=why):
        prices.load("", file(tmp_path, text))


def test_what_cannot_be_read_is_an_error_of_a_sentence(tmp_path: Path) -> None:
    for path in (tmp_path / "none.toml", tmp_path):
        with pytest.raises(PriceError):
            prices.load("", path)
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PriceError, match="not TOML"):
        prices.load("", binary)


def test_every_region_that_is_offered_has_dated_sources() -> None:
    for region in prices.regions():
        listed = prices.load(region)
        assert listed.region == region
        for name, price in listed.prices.items():
            kind = price.checked.split(" ")[0].strip(",")
            assert kind in {"price-list", "bill", "page", "neighbour", "memory", "assumption"}, name
            assert kind in {"memory", "assumption"} or price.source.startswith("https://"), name


def test_an_unknown_region_says_which_are_known() -> None:
    with pytest.raises(PriceError, match="ap-southeast-1"):
        prices.load("mars")
