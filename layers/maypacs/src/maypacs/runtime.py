"""The composition root of every function: builds adapters from settings, lazily and once a process.

Nothing secret or random is made at import: a process is warmed, frozen and copied at the platform's pleasure.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maypacs.archive.grants import BlobSigner, UploadGranter
from maypacs.archive.objects import Objects
from maypacs.archive.store import ArchiveStore
from maypacs.errors import SettingsError
from maypacs.index.table import Table
from maypacs.settings import Settings
from maypacs.uids import ArchiveId
from maypacs.workspace import Workspace

if TYPE_CHECKING:
    from maypacs.access.gatekeeper import Gatekeeper
    from maypacs.archive.part_uploads import PartUploads
    from maypacs.archive.s3_client import S3Client

_REMEMBER_SECONDS = 60.0


class Runtime:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._known_archives: dict[ArchiveId, float] = {}

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ) -> Runtime:
        return cls(Settings.read(environ))

    @cached_property
    def secrets(self) -> Mapping[str, Any]:
        """The secrets document: ``token_keys``, ``blob_key``, ``pack_key`` … (docs/security.md lists them)."""
        source = self.settings.secrets
        if source.startswith("arn:"):
            import boto3

            text = boto3.client("secretsmanager").get_secret_value(SecretId=source)["SecretString"]
        else:
            try:
                text = Path(source).read_text(encoding="utf-8")
            except OSError as error:
                raise SettingsError(f"MAYPACS_SECRETS cannot be read: {error.strerror}") from None
        document: Mapping[str, Any] = json.loads(text)
        return document

    @cached_property
    def index(self) -> Table:
        return self._table(self.settings.index_table)

    @cached_property
    def accounts(self) -> Table:
        return self._table(self.settings.accounts_table)

    def _table(self, name: str) -> Table:
        if name.startswith("sqlite:"):
            from maypacs.index.sqlite_table import SqliteTable

            return SqliteTable(Path(name.removeprefix("sqlite:")))
        from maypacs.index.dynamodb_table import DynamoDBTable

        return DynamoDBTable(name, client=self._dynamodb)

    @cached_property
    def _dynamodb(self) -> Any:
        from maypacs.index.dynamodb_table import dynamodb_client

        return dynamodb_client(self.settings.dynamodb_endpoint)

    @cached_property
    def archive_objects(self) -> Objects:
        return self._objects(self.settings.archive_bucket)

    @cached_property
    def inbox_objects(self) -> Objects:
        return self._objects(self.settings.inbox_bucket)

    def _objects(self, bucket: str) -> Objects:
        from maypacs.archive.s3_objects import S3Objects

        return S3Objects(bucket, client=self._s3)

    @cached_property
    def _s3(self) -> S3Client:
        from maypacs.archive.s3_client import S3Client

        return S3Client(self.settings.s3_endpoint)

    @cached_property
    def blob_signer(self) -> BlobSigner:
        from maypacs.archive import grants

        return grants.blob_signer(self.settings, self.secrets)

    @cached_property
    def upload_granter(self) -> UploadGranter:
        from maypacs.archive import grants

        return grants.upload_granter(self.settings, self.secrets)

    @cached_property
    def part_uploads(self) -> PartUploads:
        from maypacs.archive.part_uploads import PartUploads

        settings = self.settings
        return PartUploads(settings.inbox_bucket, settings.s3_endpoint, checksums=settings.uploads != "hmac")

    def unscoped_workspace(self, archive_id: ArchiveId) -> Workspace:
        """For ingest, housekeeper and command line, which have no principal; requests pass the gatekeeper."""
        return Workspace(archive_id, self.index, self.archive_store(archive_id))

    def archive_exists(self, archive_id: ArchiveId) -> bool:
        """Was it opened? What is so is remembered for a while; what is not may be a moment later."""
        from maypacs.access.accounts import find_archive

        now = time.monotonic()
        if now - self._known_archives.get(archive_id, -_REMEMBER_SECONDS) < _REMEMBER_SECONDS:
            return True
        if find_archive(self.accounts, archive_id) is None:
            return False
        self._known_archives[archive_id] = now
        return True

    def archive_store(self, archive_id: ArchiveId) -> ArchiveStore:
        return ArchiveStore(
            archive_id,
            objects=self.archive_objects,
            inbox=self.inbox_objects,
            pack_key=bytes.fromhex(self.secrets["pack_key"]),
        )

    @cached_property
    def gatekeeper(self) -> Gatekeeper:
        from maypacs.access.gatekeeper import Gatekeeper

        return Gatekeeper(
            accounts=self.accounts,
            token_keys=self.secrets["token_keys"],
            open_workspace=self.unscoped_workspace,
        )
