"""What the DynamoDB adapter makes of answers that moto and dynalite never give."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from botocore.stub import ANY, Stubber

from maypacs.errors import ConditionFailedError, MayPACSError, TableError, ThrottledError
from maypacs.index import dynamodb_table
from maypacs.index.dynamodb_table import DynamoDBTable
from maypacs.index.table import BY_DATE, Absent


@pytest.fixture
def client() -> Any:
    return boto3.client(
        "dynamodb", region_name="us-east-1", aws_access_key_id="testing", aws_secret_access_key="testing"
    )


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("ConditionalCheckFailedException", ConditionFailedError),
        ("ProvisionedThroughputExceededException", ThrottledError),
        ("ThrottlingException", ThrottledError),
        ("RequestLimitExceeded", ThrottledError),
        ("ResourceNotFoundException", TableError),
        ("InternalServerError", TableError),
        ("AccessDeniedException", TableError),
    ],
)
def test_each_fault_has_its_error_and_none_tells_a_key(client: Any, code: str, error: type[MayPACSError]) -> None:
    """An engine's message may repeat the key, and keys hold PatientIDs: only its code goes on."""
    with Stubber(client) as stub:
        stub.add_client_error("put_item", code, "no such thing: hosp1#T#pid#P77")
        with pytest.raises(error) as caught:
            DynamoDBTable("index", client=client).put({"pk": "hosp1#T#pid#P77", "sk": "1"}, condition=Absent())
    assert type(caught.value) is error
    shown = f"{caught.value!r} {caught.value.__cause__!r}"
    assert "P77" not in shown


def test_an_engine_that_cannot_be_reached_is_a_table_error() -> None:
    """Not an error of botocore's."""

    class Unreachable:
        def get_item(self, **request: Any) -> Any:
            raise EndpointConnectionError(endpoint_url="http://127.0.0.1:1")

    with pytest.raises(TableError, match="EndpointConnectionError"):
        DynamoDBTable("index", client=Unreachable()).get("p", "s")


def test_a_write_sent_twice_by_the_sdk_fails_on_itself_and_says_so() -> None:
    """The first answer got lost; the writer's nonce in the row is for the caller to look at."""
    rows: dict[str, Any] = {}

    class Lossy:
        def put_item(self, **request: Any) -> Any:
            rows["p"] = request["Item"]  # done, and the SDK asks again
            raise ClientError({"Error": {"Code": "ConditionalCheckFailedException"}}, "PutItem")

        def get_item(self, **request: Any) -> Any:
            return {"Item": rows["p"]}

    table = DynamoDBTable("index", client=Lossy())
    with pytest.raises(ConditionFailedError):
        table.put({"pk": "p", "sk": "s", "nonce": "mine"}, condition=Absent())
    found = table.get("p", "s")
    assert found is not None
    assert found["nonce"] == "mine"


def test_consumed_is_what_the_engine_says_or_an_estimate(client: Any) -> None:
    """ConsumedCapacity when it comes, else by the same rules as SQLite; a lost condition costs too."""
    table = DynamoDBTable("index", client=client)
    with Stubber(client) as stub:
        stub.add_response("put_item", {"ConsumedCapacity": {"TableName": "index", "CapacityUnits": 3.0}})
        stub.add_response("put_item", {})
        stub.add_client_error("put_item", "ConditionalCheckFailedException")
        table.put({"pk": "p", "sk": "s"})
        table.put({"pk": "p", "sk": "s", "blob": bytes(2_000)})
        with pytest.raises(ConditionFailedError):
            table.put({"pk": "p", "sk": "s"}, condition=Absent())
    assert table.consumed.write_units == 3 + 2 + 1
    assert table.consumed.requests == 3


def test_a_query_counts_what_was_scanned_not_what_came(client: Any) -> None:
    """ScannedCount is what is paid for; a page may be empty and still have a next one."""
    last = {name: {"S": name} for name in ("pk", "sk", "gpk", "gsk")}
    with Stubber(client) as stub:
        stub.add_response("query", {"Items": [], "ScannedCount": 7, "Count": 0, "LastEvaluatedKey": last}, ANY_QUERY)
        page = DynamoDBTable("index", client=client).query("g", index=BY_DATE, limit=9, reverse=True)
    assert page.items == []
    assert page.next == {name: name for name in ("pk", "sk", "gpk", "gsk")}
    assert page.consumed.examined == 7


ANY_QUERY = {
    "TableName": "index",
    "IndexName": BY_DATE,
    "KeyConditionExpression": "#p = :p",
    "ExpressionAttributeNames": {"#p": "gpk"},
    "ExpressionAttributeValues": {":p": {"S": "g"}},
    "ScanIndexForward": False,
    "ReturnConsumedCapacity": "TOTAL",
    "Limit": 9,
}


def test_a_consistent_get_says_so(client: Any) -> None:
    """The default: ingest must not recompute from what may be stale."""
    expected = {"TableName": "index", "Key": ANY, "ReturnConsumedCapacity": "TOTAL"}
    table = DynamoDBTable("index", client=client)
    with Stubber(client) as stub:
        stub.add_response("get_item", {}, expected | {"ConsistentRead": True})
        stub.add_response("get_item", {}, expected | {"ConsistentRead": False})
        assert table.get("p", "s") is None
        assert table.get("p", "s", consistent=False) is None


class Busy:
    """A client whose answers to BatchGetItem leave keys out, as a busy engine's do."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.asked: list[int] = []

    def batch_get_item(self, **request: Any) -> Any:
        (asked,) = request["RequestItems"].values()
        self.asked.append(len(asked["Keys"]))
        given, left = asked["Keys"][: self.most], asked["Keys"][self.most :]
        return {
            "Responses": {"index": [{**key, "n": {"N": "1"}} for key in given]},
            "UnprocessedKeys": {"index": {**asked, "Keys": left}} if left else {},
            "ConsumedCapacity": [{"TableName": "index", "CapacityUnits": float(len(given))}],
        }


def test_rows_that_an_answer_leaves_out_are_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them come, and what all requests cost is counted."""
    monkeypatch.setattr(dynamodb_table.time, "sleep", lambda _: None)
    client = Busy(most=40)
    found = DynamoDBTable("index", client=client).get_many([("p", f"{n}") for n in range(100)])
    assert [item and item["sk"] for item in found.items] == [f"{n}" for n in range(100)]
    assert client.asked == [100, 60, 20]
    assert (found.consumed.read_units, found.consumed.examined, found.consumed.requests) == (100.0, 100, 3)


def test_an_engine_that_goes_on_leaving_rows_out_is_throttling(monkeypatch: pytest.MonkeyPatch) -> None:
    """Never an answer without them: a missing row would read as one that is not there."""
    monkeypatch.setattr(dynamodb_table.time, "sleep", lambda _: None)
    with pytest.raises(ThrottledError):
        DynamoDBTable("index", client=Busy(most=0)).get_many([("p", "s")])
