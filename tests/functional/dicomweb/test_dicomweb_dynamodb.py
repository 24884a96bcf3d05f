"""The same handler on DynamoDB (moto): one walk through all transactions."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator

import boto3
import pytest
from functions.dicomweb import handler as dicomweb
from tests.functional.dicomweb import make
from tests.functional.dicomweb.client import STORED, Client
from tests.functional.dicomweb.conftest import new_archive, new_key

from maypacs.index.dynamodb_table import DynamoDBTable, create_table_request
from maypacs.runtime import Runtime


@pytest.fixture
def on_dynamodb(world: Runtime, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """Index and accounts on DynamoDB."""
    for name in ("index", "accounts"):
        boto3.client("dynamodb").create_table(**create_table_request(name))
    runtime = Runtime(dataclasses.replace(world.settings, index_table="index", accounts_table="accounts"))
    assert isinstance(runtime.index, DynamoDBTable)
    monkeypatch.setattr(dicomweb, "runtime", lambda: runtime)
    archive = new_archive(runtime)
    yield Client(dicomweb, copy.copy(runtime), archive, new_key(runtime, archive))
    for name in ("index", "accounts"):
        boto3.client("dynamodb").delete_table(TableName=name)


def test_store_search_retrieve_and_delete_on_dynamodb(on_dynamodb: Client) -> None:
    """What a study goes through."""
    client = on_dynamodb
    instances = [make.instance(number) for number in (1, 2)]
    assert client.stow(*instances).status == 200
    assert client.stow(make.instance(2, PatientID="P-2")).status == 409
    (study,) = client.get("/studies?PatientName=nguyen*").json()
    assert study["00201208"]["Value"] == [2]
    assert [content for _, content in client.get(make.url(), STORED).parts()] == instances
    assert len(client.metadata(make.url())) == 2
    assert client.get(f"{make.url(1)}/frames/1").status == 200
    assert client.get(f"/studies/{make.STUDY}/thumbnail").status == 200
    assert client.send("DELETE", f"/studies/{make.STUDY}").status == 204
    assert client.get(make.url()).status == 410
    assert client.get("/studies").status == 204
