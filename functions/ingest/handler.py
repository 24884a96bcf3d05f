"""Takes in what arrives in the inbox: S3 events in SQS messages, each message answered for itself.

MAYPACS_BULK_QUEUE (of the fast one of the two functions of this code): where zip, tar and large objects are passed on.
"""

from __future__ import annotations

import functools
import os
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.batch.types import PartialItemFailureResponse
from aws_lambda_powertools.utilities.data_classes.sqs_event import SQSRecord

from maypacs.deliveries import deliver
from maypacs.events import created_objects
from maypacs.runtime import Runtime

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
            receipt = deliver(
                created,
                receives=receives,
                open_workspace=runtime().unscoped_workspace,
                archive_exists=runtime().archive_exists,
                bulk_queue=os.environ.get("MAYPACS_BULK_QUEUE"),
            )
            if receipt is None:
                logger.info("nothing to take in")
                continue
            # A key may name a patient: the arrival id is what is logged.
            logger.info("taken in", extra={"arrival": receipt.arrival, "state": receipt.state, **receipt.counts})
            for result, count in receipt.counts.items():
                metrics.add_metric(name=f"Instances{result.capitalize()}", unit=MetricUnit.Count, value=count)
    except Exception as error:
        logger.error("not taken in", extra={"fault": type(error).__name__, "receives": receives})
        raise
