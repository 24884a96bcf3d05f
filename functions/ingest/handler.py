"""Takes in what arrives in the inbox: S3 events in SQS messages, each message answered for itself.

A message seen four times is poison: its object goes to quarantine without being parsed.
"""

from __future__ import annotations

import functools
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from maypacs.arrivals import archive_of
from maypacs.errors import BadRequestError
from maypacs.events import Created, created_objects
from maypacs.housekeeping import quarantine_poison
from maypacs.ingest import ingest_object
from maypacs.runtime import Runtime

POISON_RECEIVES = 4

logger = Logger(service="ingest")
metrics = Metrics(namespace="MayPACS", service="ingest")
processor = BatchProcessor(event_type=EventType.SQS, raise_on_entire_batch_failure=False)


@functools.cache
def runtime() -> Runtime:
    return Runtime.from_environment()


@metrics.log_metrics
def handler(event: dict[str, Any], context: Any) -> PartialItemFailureResponse:
    metrics.add_metric(name="Messages", unit=MetricUnit.Count, value=len(event["Records"]))
    return process_partial_response(event=event, record_handler=_message, processor=processor, context=context)


def _message(record: SQSRecord) -> None:
    receives = int(record.attributes.approximate_receive_count or 1)
    try:
        for created in created_objects(record.body):
            _object(created, receives)
    except Exception as error:
        logger.error("not taken in", extra={"fault": type(error).__name__, "receives": receives})
        raise


def _object(created: Created, receives: int) -> None:
    try:
        workspace = runtime().unscoped_workspace(archive_of(created.key))
    except BadRequestError:
        logger.warning("an object of the inbox lies below no archive: left alone")
        return
    if receives >= POISON_RECEIVES:
        receipt = quarantine_poison(workspace, created.key)
        metrics.add_metric(name="Poison", unit=MetricUnit.Count, value=1)
    else:
        receipt = ingest_object(workspace, created.key, size=created.size)
    if receipt is None:
        logger.info("gone already", extra={"archive": workspace.archive_id})
        return
    # Keys of files that somebody copied in may name a patient: the arrival id is what is logged.
    logger.info(
        "taken in",
        extra={"archive": workspace.archive_id, "arrival": receipt.arrival, "state": receipt.state, **receipt.counts},
    )
    for result, count in receipt.counts.items():
        metrics.add_metric(name=f"Instances{result.capitalize()}", unit=MetricUnit.Count, value=count)
