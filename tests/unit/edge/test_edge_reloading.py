"""What a reload may change, and what has to wait for a restart."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from edge_forwarder import config as configuration
from edge_forwarder.config import SECTIONS, Config
from edge_forwarder.reloading import LIVE, merge


def config(**sections: Any) -> Config:
    return configuration.parse({"cloud": {"url": "https://pacs.example.org"}, **sections}, Path("/etc/edge"))


def test_nothing_changes_for_the_same_file() -> None:
    """Equal in, equal out."""
    merged, changed, waiting = merge(config(), config())
    assert (merged, changed, waiting) == (config(), [], [])


@pytest.mark.parametrize(
    ("sections", "changed", "waiting"),
    [
        ({"dimse": {"rights": ["store", "query"]}}, ["[dimse] rights"], []),
        ({"dimse": {"max_associations": 3}}, ["[dimse] max_associations"], []),
        ({"device": [{"ae_title": "CT1"}]}, ["[[device]]"], []),
        ({"upload": {"windows": ["07:00-18:00 2Mbit/s"], "pause": True}}, ["[upload] pause", "[upload] windows"], []),
        ({"edge": {"log_level": "debug", "port": 104}}, ["[edge] log_level"], ["[edge] port"]),
        ({"edge": {"ae_title": "OTHER"}}, [], ["[edge] ae_title"]),
        ({"spool": {"min_free_mib": 5}}, ["[spool] min_free_mib"], []),
        ({"retrieve": {"parallel": 9}}, [], ["[retrieve] parallel"]),
        ({"stow": {"max_requests": 9}}, [], ["[stow] max_requests"]),
        ({"tls": {"certificate": "a", "key": "b"}}, [], ["[tls] certificate", "[tls] key"]),
    ],
)
def test_each_setting_is_taken_or_named(sections: dict[str, Any], changed: list[str], waiting: list[str]) -> None:
    """What is in force afterwards is the new value of what changed, and the old one of what waits."""
    wanted = config(**sections)
    merged, *told = merge(config(), wanted)
    assert told == [changed, waiting]
    for name in SECTIONS:
        for field in fields(SECTIONS[name]):  # type: ignore[arg-type]
            source = config() if f"[{name}] {field.name}" in waiting else wanted
            assert getattr(getattr(merged, name), field.name) == getattr(getattr(source, name), field.name)
    assert merged.devices == wanted.devices


def test_a_certificate_may_be_replaced_but_not_begun() -> None:
    """A port that is not open cannot be opened."""
    old = config(tls={"certificate": "a", "key": "b"})
    _, changed, waiting = merge(old, config(tls={"certificate": "c", "key": "b"}))
    assert (changed, waiting) == (["[tls] certificate"], [])
    _, changed, waiting = merge(old, config())
    assert (changed, waiting) == ([], ["[tls] certificate", "[tls] key"])


def test_what_is_live_exists() -> None:
    """A renamed setting does not turn into one that silently waits for a restart."""
    for name, keys in LIVE.items():
        assert name in SECTIONS
        assert keys is None or keys <= {field.name for field in fields(SECTIONS[name])}  # type: ignore[arg-type]
