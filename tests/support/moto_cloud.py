"""A cloud on moto: the two tables, the two buckets, a secrets document, and the environment of the functions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from maypacs.access.secrets import new_secrets
from maypacs.index.dynamodb_table import create_table_request
from maypacs.runtime import Runtime

REGION = "eu-central-1"


@dataclass(frozen=True)
class MotoCloud:
    runtime: Runtime  #: the same tables and buckets, for a test's own hand
    s3: Any


@contextmanager
def moto_cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **settings: str) -> Iterator[MotoCloud]:
    secrets = tmp_path / "secrets.json"
    secrets.write_text(json.dumps(new_secrets()), encoding="utf-8")
    environment = {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "MAYPACS_INDEX_TABLE": "index",
        "MAYPACS_ACCOUNTS_TABLE": "accounts",
        "MAYPACS_ARCHIVE_BUCKET": "archive",
        "MAYPACS_INBOX_BUCKET": "inbox",
        "MAYPACS_SECRETS": str(secrets),
        "MAYPACS_BLOBS": "hmac",
        "MAYPACS_UPLOADS": "hmac",
        "POWERTOOLS_METRICS_NAMESPACE": "MayPACS",
        **settings,
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        dynamodb = boto3.client("dynamodb", region_name=REGION)
        for table in ("index", "accounts"):
            dynamodb.create_table(**create_table_request(table))
        s3 = boto3.client("s3", region_name=REGION)
        for bucket in ("archive", "inbox"):
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION})
        s3.put_bucket_versioning(Bucket="archive", VersioningConfiguration={"Status": "Enabled"})
        yield MotoCloud(Runtime.from_environment(), s3)
