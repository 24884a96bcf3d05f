"""A short storm of `make torture`: everything at random dies, fails, fills up; nothing acknowledged is lost.

The dice are always the same, as those of the suite's other tests of properties; `make torture` looks for what is new.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.torture.run import torture

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

#: It draws samples whose file meta and data set name different instances, two of them in conflict.
SEED = 2906242268


def test_a_storm_loses_nothing(tmp_path: Path) -> None:
    """`make torture TORTURE="--seed 2906242268 --storm 20 --instances 400"` brings the same dice again."""
    outcome = torture(SEED, seconds=20, instances=400, folder=tmp_path / "torture")
    print(outcome.text())
    assert not outcome.faults, outcome.text()
    assert outcome.verdict.taken == len(outcome.answers.sent) > 400
