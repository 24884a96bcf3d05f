"""How long to wait before the next try: exponential with full jitter, or as long as the cloud asks for."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

BASE_SECONDS: Final = 1.0
#: However long a server asks us to wait, we look again after an hour.
LONGEST_RETRY_AFTER: Final = 3600.0


def pause(
    failures: int,
    longest: float,
    *,
    asked: float | None = None,
    uniform: Callable[[float, float], float] = random.uniform,
) -> float:
    """Seconds to wait after so many failures in a row. What the cloud asked for is a lower bound, jittered upwards."""
    bound = min(longest, BASE_SECONDS * 2.0 ** min(failures - 1, 30)) if failures > 0 else 0.0
    if asked is not None:
        return min(asked, LONGEST_RETRY_AFTER) + uniform(0.0, min(bound, 5.0))
    return uniform(0.0, bound)


def retry_after(value: str | None, now: datetime | None = None) -> float | None:
    """Seconds of a Retry-After field: a number or a date (RFC 9110 10.2.3). None if there is none, or nonsense."""
    if not value:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_RETRY_AFTER)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return max(0.0, (moment - (now or datetime.now(UTC))).total_seconds())
