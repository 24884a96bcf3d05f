"""The schedule: the many small packs of quiet series become few, and what was replaced is taken away later.

``{"clean_only": true}``: only the second (a node whose disk is nearly full).
"""

from __future__ import annotations

import functools
import time
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from maypacs.access.accounts import list_archives
from maypacs.compaction import compact_archives
from maypacs.merge import DamagedError
from maypacs.runtime import Runtime

logger = Logger(service="compactor")
metrics = Metrics(namespace="MayPACS", service="compactor")

#: Of the time that a call has: what was begun is finished in the rest.
SHARE = 0.6


@functools.cache
def runtime() -> Runtime:
    return Runtime.from_environment()


def handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    settings = runtime().settings
    done = dict.fromkeys(("series", "packs", "into", "bytes_written", "cleaned", "failed"), 0)
    damaged = 0
    archives = [each.archive_id for each in list_archives(runtime().accounts)] if settings.compact_after_hours else []
    seconds = min(settings.compact_seconds, SHARE * context.get_remaining_time_in_millis() / 1000)
    runs = compact_archives(
        archives,
        runtime().unscoped_workspace,
        quiet_hours=settings.compact_after_hours,
        seconds=seconds,
        clock=time.monotonic,
        clean_only=bool(event.get("clean_only")),
    )
    for archive_id, found in runs:
        for name in done:
            done[name] += getattr(found, name)
        if found.faults:
            logger.error("not compacted", extra={"archive": archive_id, "faults": found.faults})
        damaged += found.faults.count(DamagedError.__name__)
    if any(done.values()):  # a metric is paid for by the hour in which it is told
        for name, count in done.items():
            unit = MetricUnit.Bytes if name == "bytes_written" else MetricUnit.Count
            metrics.add_metric(name="".join(map(str.capitalize, name.split("_"))), unit=unit, value=count)
        metrics.flush_metrics()
        logger.info("compacted", extra=done)
    if damaged:  # seen by the alarm: it is no matter of trying again
        raise DamagedError(f"what is stored of {damaged} series is not what the index says")
    return done
