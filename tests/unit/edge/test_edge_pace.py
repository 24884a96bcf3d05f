"""When an edge asks what became of an upload: about when the cloud has been done with it, of late."""

from __future__ import annotations

import pytest

from edge_forwarder.upload.watcher import Pace


def test_the_first_question_of_all_comes_soon() -> None:
    assert (Pace().first, Pace().second) == (0.2, 0.2)


@pytest.mark.parametrize(("takes", "questions"), [(0.1, 1), (1.0, 1), (3.0, 1), (6.0, 2), (60.0, 6)])
def test_a_cloud_that_takes_as_long_as_before_is_asked_few_times(takes: float, questions: int) -> None:
    """After ten uploads it is known how long they take: mostly one question each, or two."""
    pace, asked = Pace(), []
    for _ in range(30):
        at, pause, count = pace.first, pace.second, 1
        while at < takes:
            at, pause, count = at + pause, pause * 2, count + 1
        pace.learn(at)
        asked.append(count)
    assert sum(asked[-10:]) <= 10 * (questions + 1)
    assert min(asked[-10:]) <= questions


def test_a_cloud_that_became_quick_is_soon_asked_sooner() -> None:
    """Nobody waits for what was once slow."""
    pace = Pace()
    pace.learn(30.0)
    for _ in range(20):
        pace.learn(max(pace.first, 0.3))
    assert pace.first < 0.5
