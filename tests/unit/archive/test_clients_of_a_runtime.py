"""A cold start makes the clients that its request needs, and each of them once."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws
from tests.support.tables import CREDENTIALS

from maypacs.archive.s3_client import S3Client
from maypacs.errors import ObjectNotFoundError
from maypacs.index.dynamodb_table import create_table_request
from maypacs.runtime import Runtime
from maypacs.uids import ArchiveId


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Services of which somebody made a client."""
    services: list[str] = []
    client = boto3.client

    def counted(service: str, *arguments: Any, **named: Any) -> Any:
        services.append(service)
        return client(service, *arguments, **named)

    monkeypatch.setattr(boto3, "client", counted)
    return services


def test_tables_share_a_client_and_storage_is_asked_for_one_when_it_is_needed(
    made: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As in the first search of a fresh function, and then in the first retrieval."""
    secrets = tmp_path / "secrets.json"
    secrets.write_text(json.dumps({"pack_key": "00" * 32}))
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    with mock_aws():
        for table in ("index", "accounts"):
            boto3.client("dynamodb").create_table(**create_table_request(table))
        for bucket in ("archive", "inbox"):
            boto3.client("s3").create_bucket(Bucket=bucket)
        made.clear()
        settings = {"INDEX_TABLE": "index", "ACCOUNTS_TABLE": "accounts", "SECRETS": str(secrets)}
        settings |= {"ARCHIVE_BUCKET": "archive", "INBOX_BUCKET": "inbox"}
        runtime = Runtime.from_environment({f"MAYPACS_{name}": value for name, value in settings.items()})
        workspace = runtime.unscoped_workspace(ArchiveId("hosp1"))
        assert runtime.accounts.get("a", "b") is None
        assert workspace.table.get("a", "b") is None
        assert made == ["dynamodb"]
        for objects in (workspace.store.objects, workspace.store.inbox):
            with pytest.raises(ObjectNotFoundError):
                objects.head("nothing")
        assert made == ["dynamodb", "s3"]


def test_of_threads_that_need_it_at_once_one_makes_it(made: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3's default session is not for several at a time."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    client, together = S3Client(), threading.Barrier(8)

    def get(_: int) -> Any:
        together.wait()
        return client.get()

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(get, range(8)))
    assert made == ["s3"]
    assert len(set(map(id, found))) == 1
