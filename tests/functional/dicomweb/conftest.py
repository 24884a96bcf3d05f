"""The DICOMweb handler on moto's S3 and a SQLite table (DynamoDB on moto where a test asks for it).

Buckets, tables and clients are made once a module, not once a run: two moto worlds at once would be one. Every test has
archives of its own.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
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

_numbers = itertools.count(1)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    """Buckets, tables, secrets."""
    folder: Path = tmp_path_factory.mktemp("world")
    document = folder / "secrets.json"
    document.write_text(json.dumps(secrets.new_secrets()))
    with pytest.MonkeyPatch.context() as patch, mock_aws():
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        patch.delenv("AWS_ENDPOINT_URL", raising=False)
        for bucket in ("archive", "inbox"):
            boto3.client("s3").create_bucket(Bucket=bucket)
        settings = Settings(
            index_table=f"sqlite:{folder / 'index.db'}",
            accounts_table=f"sqlite:{folder / 'accounts.db'}",
            archive_bucket="archive",
            inbox_bucket="inbox",
            secrets=str(document),
            blobs="hmac",
            uploads="hmac",
        )
        runtime = Runtime(settings)
        assert runtime.index
        assert runtime.accounts
        assert runtime.archive_objects
        assert runtime.gatekeeper  # made here, so that every test's runtime shares them
        yield runtime


def new_archive(runtime: Runtime) -> str:
    """The id of a new, empty archive."""
    name = f"hospital-{next(_numbers)}"
    accounts.add_archive(runtime.accounts, name, name=name)
    return name


def new_key(runtime: Runtime, archive: str, role: Role = Role.ADMIN) -> str:
    return keys.add_key(runtime.accounts, archive, role, name="test").key


@pytest.fixture
def make_client(world: Runtime, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Client]:
    """make_client(archive=…, role=…, setting=…): a client of an archive (a new one unless named)."""

    def make(archive: str | None = None, role: Role | None = Role.ADMIN, **settings: object) -> Client:
        runtime = copy.copy(world)
        runtime.settings = dataclasses.replace(world.settings, **settings)  # type: ignore[arg-type]
        monkeypatch.setattr(dicomweb, "runtime", lambda: runtime)
        archive = archive or new_archive(runtime)
        return Client(dicomweb, runtime, archive, new_key(runtime, archive, role) if role else "")

    return make


@pytest.fixture
def client(make_client: Callable[..., Client]) -> Client:
    """An admin of a new archive, under the gateway's limits."""
    return make_client()
