"""For the benchmarks: the object store of a running node, bare."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from maypacs_node.home import Home
from maypacs_node.seaweed import ARCHIVE_BUCKET, REGION, SeaweedFS


def object_store_client(data: Path) -> tuple[Any, str]:
    """A boto3 S3 client of the store of the node that runs on ``data``, and the archive's bucket."""
    import boto3
    from botocore.config import Config

    home = Home(data)
    store = SeaweedFS(home.objects, run=home.run)
    client = boto3.client(
        "s3",
        endpoint_url=store.remembered_environment()["MAYPACS_S3_ENDPOINT"],
        aws_access_key_id=store.access_key,
        aws_secret_access_key=store.secret_key,
        region_name=REGION,
        config=Config(s3={"addressing_style": "path"}, max_pool_connections=32),
    )
    return client, ARCHIVE_BUCKET
