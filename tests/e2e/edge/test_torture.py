"""A short storm of `make torture`: everything at random dies, fails, fills up; nothing acknowledged is lost."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tests.torture.run import torture

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


def test_a_storm_loses_nothing(tmp_path: Path) -> None:
    """`make torture TORTURE="--seed N --storm 20 --instances 400"` brings the same dice again."""
    outcome = torture(random.SystemRandom().getrandbits(32), seconds=20, instances=400, folder=tmp_path / "torture")
    print(outcome.text())
    assert not outcome.faults, outcome.text()
    assert outcome.verdict.taken == len(outcome.answers.sent) > 400
