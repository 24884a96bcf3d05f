"""What several requests leave of one answer: which of it counts."""

from __future__ import annotations

import pytest

from maypacs.exports import in_a_row


@pytest.mark.parametrize(
    ("spans", "row", "reached"),
    [
        ([], [], 0),
        ([(0, 3), (3, 5)], ["0-3", "3-5"], 5),
        ([(3, 5), (0, 3)], ["0-3", "3-5"], 5),
        ([(0, 3), (4, 5)], ["0-3"], 3),  # a gap
        ([(1, 3)], [], 0),
        ([(0, 2), (0, 6), (6, 7), (6, 9)], ["0-6", "6-9"], 9),  # two requests at once
        ([(0, 0)], [], 0),
    ],
)
def test_what_follows_one_another_counts(spans: list[tuple[int, int]], row: list[str], reached: int) -> None:
    """From the first item on, without gaps; of equal starts the longest."""
    assert in_a_row((start, end, f"{start}-{end}") for start, end in spans) == (row, reached)
