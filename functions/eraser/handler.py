"""The schedule: carries erasures on, and empties the trash of what has lain there for its days (MAYPACS_TRASH_DAYS).

The one function that may delete versions of objects. What a run does not finish, the next one goes on with.
"""

from __future__ import annotations

import functools
from collections import Counter
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from maypacs.access.accounts import list_archives
from maypacs.erase import carry_on
from maypacs.errors import MayPACSError
from maypacs.runtime import Runtime
from maypacs.trash import expire_trash

logger = Logger(service="eraser")
metrics = Metrics(namespace="MayPACS", service="eraser")


@functools.cache
def runtime() -> Runtime:
    return Runtime.from_environment()


@metrics.log_metrics
def handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    done = Counter({"erased": 0, "erasing": 0, "expired": 0, "failed": 0})
    for archive in list_archives(runtime().accounts):
        workspace = runtime().unscoped_workspace(archive.archive_id)
        try:
            done.update(carry_on(workspace))
            done["expired"] += expire_trash(workspace, runtime().settings.trash_days)
        except MayPACSError as error:  # one archive must not keep the others waiting
            logger.error("not finished", extra={"archive": archive.archive_id, "fault": type(error).__name__})
            done["failed"] += 1
    for name, count in done.items():
        metrics.add_metric(name=name.capitalize(), unit=MetricUnit.Count, value=count)
    logger.info("erased and expired", extra=dict(done))
    return dict(done)
