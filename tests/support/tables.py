"""The engines of the table port, for fixtures: SQLite, moto, dynalite (a real process), and the chaos table."""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config
from moto import mock_aws

from maypacs.index.dynamodb_table import DynamoDBTable, create_table_request

CONTRACT = Path(__file__).resolve().parents[1] / "contract"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}
_DYNALITE = """
const server = require('dynalite')({path: process.argv[1], createTableMs: 0, deleteTableMs: 0})
server.listen(0, '127.0.0.1', () => console.log(server.address().port))
"""


class Dynalite:
    """dynalite on a free port of the loopback, with its data in ``folder``."""

    def __init__(self, folder: Path) -> None:
        install_engines()
        self._process = subprocess.Popen(
            ["node", "-e", _DYNALITE, str(folder)], cwd=CONTRACT, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        port = self._process.stdout.readline().strip()
        if not port:
            raise RuntimeError("dynalite did not start")
        self.endpoint = f"http://127.0.0.1:{port}"

    def new_table(self) -> DynamoDBTable:
        name = f"index-{uuid.uuid4().hex}"
        client = dynamodb_client(self.endpoint)
        client.create_table(**create_table_request(name))
        while client.describe_table(TableName=name)["Table"]["TableStatus"] != "ACTIVE":
            time.sleep(0.005)
        return DynamoDBTable(name, client=client)

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


def dynamodb_client(endpoint: str) -> Any:
    return boto3.client(
        "dynamodb",
        endpoint_url=endpoint,
        region_name=CREDENTIALS["AWS_DEFAULT_REGION"],
        aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        config=Config(retries={"mode": "standard", "max_attempts": 3}, max_pool_connections=32),
    )


@contextmanager
def dynalite(folder: Path) -> Iterator[Dynalite]:
    server = Dynalite(folder)
    try:
        yield server
    finally:
        server.close()


@contextmanager
def moto_table() -> Iterator[DynamoDBTable]:
    before = {name: os.environ.get(name) for name in CREDENTIALS}
    os.environ |= CREDENTIALS
    try:
        with mock_aws():
            client = boto3.client("dynamodb", region_name=CREDENTIALS["AWS_DEFAULT_REGION"])
            client.create_table(**create_table_request("index"))
            yield DynamoDBTable("index", client=client)
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def install_engines() -> None:
    """``npm ci`` of tests/contract, once, also when several test processes come at the same moment."""
    ready = CONTRACT / "node_modules" / ".package-lock.json"
    with (CONTRACT / "package.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ready.exists():
            subprocess.run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"], cwd=CONTRACT, check=True)
