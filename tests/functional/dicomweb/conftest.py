"""The DICOMweb handler on moto's S3 and a SQLite table (DynamoDB on moto where a test asks for it)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import boto3
import pytest
from functions.dicomweb import handler as dicomweb
from moto import mock_aws
from tests.functional.dicomweb.client import Client

from maypacs.access import accounts, keys, secrets
from maypacs.access.principals import Role
from maypacs.runtime import Runtime
from maypacs.settings import Settings

ARCHIVE, OTHER = "hosp1", "hosp10"


def make_runtime(folder: Path, *, dynamodb: bool = False, **settings: object) -> Runtime:
    """Buckets, tables, two archives; inside of mock_aws."""
    s3 = boto3.client("s3")
    for bucket in ("archive", "inbox"):
        s3.create_bucket(Bucket=bucket)
    document = folder / "secrets.json"
    document.write_text(json.dumps(secrets.new_secrets()))
    index = f"sqlite:{folder / 'index.db'}"
    if dynamodb:
        from maypacs.index.dynamodb_table import create_table_request

        boto3.client("dynamodb").create_table(**create_table_request("index"))
        index = "index"
    values = {
        "index_table": index,
        "accounts_table": f"sqlite:{folder / 'accounts.db'}",
        "archive_bucket": "archive",
        "inbox_bucket": "inbox",
        "secrets": str(document),
        "blobs": "hmac",
        "uploads": "hmac",
        **settings,
    }
    runtime = Runtime(Settings(**values))  # type: ignore[arg-type]
    for archive in (ARCHIVE, OTHER):
        accounts.add_archive(runtime.accounts, archive, name=archive)
    return runtime


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield


@pytest.fixture
def make_client(aws: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Client]:
    """client(archive=…, role=…, settings…): all of one test share buckets and tables, made by the first."""
    made: list[Runtime] = []

    def make(archive: str = ARCHIVE, role: Role | None = Role.ADMIN, **settings: object) -> Client:
        if not made:
            made.append(make_runtime(tmp_path, **settings))  # type: ignore[arg-type]
            monkeypatch.setattr(dicomweb, "runtime", lambda: made[0])
        key = keys.add_key(made[0].accounts, archive, role, name="test").key if role else ""
        return Client(dicomweb, made[0], archive, key)

    return make


@pytest.fixture
def client(make_client: Callable[..., Client]) -> Client:
    """An admin of the archive, under the gateway's limits."""
    return make_client()
