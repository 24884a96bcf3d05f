"""What a node does by the clock beside the housekeeper: backups, and what lifecycle rules do on AWS."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from maypacs_node import backups
from maypacs_node.home import Home
from maypacs_node.logs import log_fault
from maypacs_node.seaweed import SeaweedFS

#: An edge behind a bad line, or away for a long weekend, goes on with its upload in parts (on AWS: as long).
UPLOAD_AGE = timedelta(days=7)
LOOK_SECONDS = 300.0


def abort_old_uploads(older_than: timedelta = UPLOAD_AGE) -> None:
    """Multipart uploads that a killed process left (a lifecycle rule does this on AWS). Never raises."""
    import boto3

    try:
        s3 = boto3.client("s3", endpoint_url=os.environ["MAYPACS_S3_ENDPOINT"])
        before = datetime.now(UTC) - older_than
        for bucket in (os.environ["MAYPACS_INBOX_BUCKET"], os.environ["MAYPACS_ARCHIVE_BUCKET"]):
            for page in s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket):
                for upload in page.get("Uploads", []):
                    if upload["Initiated"] < before:
                        s3.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
    except Exception as error:  # again the next time
        log_fault(error, doing="aborting old uploads")


def vacuum(told: Mapping[str, int]) -> None:
    """After an erasure (``told``: the eraser's report), its bytes go from the disk too. Never raises."""
    if not told.get("erased"):
        return
    try:
        home = Home(Path.cwd().parent)  # we run in DATA/run
        SeaweedFS(home.objects, run=home.run).vacuum()
    except Exception as error:  # SeaweedFS does it by itself, later
        log_fault(error, doing="vacuuming after an erasure")


def back_up() -> float:
    """Backs up the accounts when it is time; seconds until the next look. Never raises."""
    from maypacs.runtime import Runtime

    try:
        objects = Runtime.from_environment().archive_objects
        table = Path(os.environ["MAYPACS_ACCOUNTS_TABLE"].removeprefix("sqlite:"))
        if table.exists() and not backups.due(objects):
            backups.take(table, objects)
        return min(LOOK_SECONDS, backups.due(objects))
    except Exception as error:  # the store restarts, the disk is full: again in a while
        log_fault(error, doing="backing up the accounts")
        return LOOK_SECONDS
