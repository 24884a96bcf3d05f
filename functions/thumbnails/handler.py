"""Makes one thumbnail a series when its first sidecar (or pack) appears: S3 events in SQS messages."""

from __future__ import annotations

import functools
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from maypacs.archive.store import place_of
from maypacs.events import created_objects
from maypacs.runtime import Runtime
from maypacs.thumbnails import make_thumbnail

logger = Logger(service="thumbnails")
metrics = Metrics(namespace="MayPACS", service="thumbnails")
processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)


@functools.cache
def runtime() -> Runtime:
    return Runtime.from_environment()


@metrics.log_metrics
def handler(event: dict[str, Any], context: Any) -> PartialItemFailureResponse:
    metrics.add_metric(name="Messages", unit=MetricUnit.Count, value=len(event["Records"]))
    return process_partial_response(event=event, record_handler=_message, processor=processor, context=context)


def _message(record: SQSRecord) -> None:
    for created in created_objects(record.body):
        try:
            _thumbnail(created.key)
        except Exception as error:
            logger.info("not made", extra={"fault": type(error).__name__})
            raise


def _thumbnail(key: str) -> None:
    place = place_of(key)
    if place is None:
        return
    archive_id, location = place
    workspace = runtime().unscoped_workspace(archive_id)
    if make_thumbnail(workspace, location.study, location.series):
        metrics.add_metric(name="Thumbnails", unit=MetricUnit.Count, value=1)
        logger.info("made", extra={"archive": archive_id})
