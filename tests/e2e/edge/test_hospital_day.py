"""A hospital's day in half a minute: nothing is refused, and the edge does not grow."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.simulate.__main__ import FILES, MEMORY
from tests.simulate.day import simulate
from tests.simulate.report import markdown

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(600)]


def test_a_day_leaves_memory_and_open_files_as_they_were_after_the_morning(tmp_path: Path) -> None:
    """The long one, with its figures, is `make simulate`."""
    day = simulate(tmp_path, minutes=0.6, seed=7, share=0.04)
    text = markdown(day, share=0.04, seed=7)
    memory, files = day.growth()
    assert memory < MEMORY, text
    assert files < FILES, text
    assert sum(sent.refused for sent in day.sent.values()) == 0, text
    assert day.images > 1000
