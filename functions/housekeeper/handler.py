"""The schedule: sends what lies in the inbox too long to ingest again, and expires composed answers.

With MAYPACS_INGEST_QUEUE (a queue's URL; AWS) by a message to that queue, else by ingesting here. MAYPACS_SWEEP=off
where something else goes by the listing of the inbox already (a node's poller).
"""

from __future__ import annotations

import functools
import os
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from maypacs.deliveries import deliver, send
from maypacs.errors import MayPACSError
from maypacs.events import Created
from maypacs.housekeeping import Waiting, expire_exports, waiting
from maypacs.runtime import Runtime

logger = Logger(service="housekeeper")
metrics = Metrics(namespace="MayPACS", service="housekeeper")


@functools.cache
def runtime() -> Runtime:
    return Runtime.from_environment()


@metrics.log_metrics
def handler(event: dict[str, Any], context: Any) -> dict[str, int]:
    queue = os.environ.get("MAYPACS_INGEST_QUEUE", "")
    done = {"swept": 0, "failed": 0}
    sweeps = os.environ.get("MAYPACS_SWEEP") != "off"
    for found in waiting(runtime().inbox_objects) if sweeps else ():
        try:
            _again(found, queue)
            done["swept"] += 1
        except MayPACSError as error:  # one object must not keep the others waiting
            logger.error("not taken in", extra={"archive": found.archive_id, "fault": type(error).__name__})
            done["failed"] += 1
    done["expired"] = expire_exports(runtime().archive_objects)
    for name, count in done.items():
        metrics.add_metric(name=name.capitalize(), unit=MetricUnit.Count, value=count)
    logger.info("kept house", extra=done)
    return done


def _again(found: Waiting, queue: str) -> None:
    created = Created(runtime().inbox_objects.bucket, found.head.key, found.head.size)
    if queue:
        send(queue, created)
    else:
        workspace, exists = runtime().unscoped_workspace, runtime().archive_exists
        deliver(created, receives=1, open_workspace=workspace, archive_exists=exists)
