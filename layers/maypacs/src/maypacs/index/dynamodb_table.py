"""The table on DynamoDB, or on any engine that speaks its wire protocol (ScyllaDB Alternator, ExtendDB, dynalite).

The low-level client with its native types. Retries are botocore's: a write whose answer got lost is sent again, and a
conditional one may then fail on what it wrote itself. That is reported as it is (ConditionFailedError): the writer's
nonce in the row tells whose write it was (protocols: ingest).
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeAlias

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from maypacs.errors import ConditionFailedError, TableError, ThrottledError
from maypacs.index import costs
from maypacs.index.table import (
    BY_DATE,
    Absent,
    AbsentOrEquals,
    Condition,
    Consumed,
    Equals,
    Found,
    Item,
    Page,
    Present,
    StartKey,
    Value,
)

_THROTTLING = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "ThrottlingException",
        "RequestLimitExceeded",
        "LimitExceededException",
        "TransactionConflictException",
    }
)


#: Keys of one BatchGetItem: the most that DynamoDB takes.
_BATCH = 100
_MOST_ATTEMPTS = 8
_Batch: TypeAlias = tuple[dict[tuple[str, str], Item], Consumed]


def dynamodb_client(endpoint: str | None = None) -> Any:
    """A boto3 client of the environment's credentials and region, for as many tables as there are."""
    config = Config(
        retries={"mode": "standard", "max_attempts": 6},
        max_pool_connections=DynamoDBTable.concurrency * 2,
        connect_timeout=3,
        read_timeout=10,
    )
    return boto3.client("dynamodb", endpoint_url=endpoint, config=config)


class DynamoDBTable:
    """The table ``name`` (keys pk, sk; index by_date on gpk, gsk, all attributes projected). It is not created here."""

    concurrency = 16  #: calls that may usefully be under way at once

    def __init__(self, name: str, endpoint: str | None = None, client: Any = None) -> None:
        self.name = name
        self.consumed = Consumed()
        self._lock = threading.Lock()
        self._client = client or dynamodb_client(endpoint)

    def get(self, pk: str, sk: str, *, consistent: bool = True) -> Item | None:
        costs.check_key(pk, sk)
        with _errors():
            answer = self._client.get_item(
                TableName=self.name,
                Key=_key(pk, sk),
                ConsistentRead=consistent,
                ReturnConsumedCapacity="TOTAL",
            )
        found = answer.get("Item")
        item = decode_item(found) if found else None
        estimate = costs.read_units(costs.item_size(item) if item else 0, consistent=consistent)
        self._count(Consumed(_units(answer, estimate), 0.0, 1 if item else 0, 1))
        return item

    def get_many(self, keys: Sequence[tuple[str, str]], *, consistent: bool = True) -> Found:
        """BatchGetItem, 100 keys a request; what an answer leaves out is asked for again."""
        for key in keys:
            costs.check_key(*key)
        left = list(dict.fromkeys(keys))
        batches = [left[at : at + _BATCH] for at in range(0, len(left), _BATCH)]
        if len(batches) > 1:
            with ThreadPoolExecutor(min(self.concurrency, len(batches))) as pool:
                answers = list(pool.map(lambda batch: self._get_batch(batch, consistent), batches))
        else:
            answers = [self._get_batch(batch, consistent) for batch in batches]
        found = {key: item for rows, _ in answers for key, item in rows.items()}
        total = Consumed()
        for _, consumed in answers:
            total.add(consumed)
        return Found([found.get(key) for key in keys], total)

    def _get_batch(self, keys: Sequence[tuple[str, str]], consistent: bool) -> _Batch:
        found: dict[tuple[str, str], Item] = {}
        total = Consumed()
        wanted: dict[str, Any] = {self.name: {"Keys": [_key(*key) for key in keys], "ConsistentRead": consistent}}
        for attempt in range(_MOST_ATTEMPTS):
            if attempt:  # an engine that is busy says so by leaving keys out, not by an error
                time.sleep(random.uniform(0, 0.05 * 2**attempt))  # noqa: S311 (jitter, not a secret)
            with _errors():
                answer = self._client.batch_get_item(RequestItems=wanted, ReturnConsumedCapacity="TOTAL")
            items = [decode_item(each) for each in answer.get("Responses", {}).get(self.name, [])]
            found |= {(item["pk"], item["sk"]): item for item in items}
            wanted = answer.get("UnprocessedKeys") or {}
            left = len(wanted.get(self.name, {}).get("Keys", ()))
            estimate = sum(costs.read_units(costs.item_size(item), consistent=consistent) for item in items)
            estimate += costs.read_units(0, consistent=consistent) * max(0, len(keys) - len(found) - left)
            capacity = answer.get("ConsumedCapacity") or ()
            units = sum(float(each["CapacityUnits"]) for each in capacity) if capacity else estimate
            consumed = Consumed(units, 0.0, len(items), 1)
            self._count(consumed)
            total.add(consumed)
            if not left:
                return found, total
        raise ThrottledError("the table asks for patience: it leaves rows out")

    def put(self, item: Item, *, condition: Condition | None = None) -> None:
        size = costs.check_item(item)
        request = {"TableName": self.name, "Item": encode_item(item), "ReturnConsumedCapacity": "TOTAL"}
        self._write(self._client.put_item, request | _condition(condition), size)

    def update(
        self,
        pk: str,
        sk: str,
        *,
        set: Mapping[str, Value],
        remove: Sequence[str] = (),
        condition: Condition | None = None,
    ) -> None:
        costs.check_key(pk, sk)
        costs.check_update(set, remove)
        costs.check_item({"pk": pk, "sk": sk, **set})
        request = {"TableName": self.name, "Key": _key(pk, sk), "ReturnConsumedCapacity": "TOTAL"}
        self._write(self._client.update_item, request | _update(set, remove, condition), costs.item_size(set))

    def delete(self, pk: str, sk: str, *, condition: Condition | None = None) -> None:
        costs.check_key(pk, sk)
        request = {"TableName": self.name, "Key": _key(pk, sk), "ReturnConsumedCapacity": "TOTAL"}
        self._write(self._client.delete_item, request | _condition(condition), 0)

    def query(
        self,
        pk: str,
        *,
        prefix: str | None = None,
        between: tuple[str, str] | None = None,
        reverse: bool = False,
        limit: int | None = None,
        start: StartKey | None = None,
        index: str | None = None,
        consistent: bool = False,
        keys_only: bool = False,
    ) -> Page:
        costs.check_query(prefix=prefix, between=between, index=index, consistent=consistent, limit=limit)
        if between is not None and between[0] > between[1]:
            raise ValueError("between is (low, high)")
        pk_name, sk_name = ("gpk", "gsk") if index == BY_DATE else ("pk", "sk")
        expression = "#p = :p"
        names = {"#p": pk_name}
        values: dict[str, Any] = {":p": {"S": pk}}
        if between is not None:
            expression += " AND #s BETWEEN :a AND :b"
            values |= {":a": {"S": between[0]}, ":b": {"S": between[1]}}
        elif prefix:
            expression += " AND begins_with(#s, :a)"
            values[":a"] = {"S": prefix}
        if len(values) > 1:
            names["#s"] = sk_name
        request: dict[str, Any] = {
            "TableName": self.name,
            "KeyConditionExpression": expression,
            "ExpressionAttributeNames": names,
            "ExpressionAttributeValues": values,
            "ScanIndexForward": not reverse,
            "ReturnConsumedCapacity": "TOTAL",
        }
        if index is not None:
            request["IndexName"] = index
        else:
            request["ConsistentRead"] = consistent
        if keys_only:
            request["ProjectionExpression"] = "pk, sk, gpk, gsk"
        if limit is not None:
            request["Limit"] = limit
        if start is not None:
            request["ExclusiveStartKey"] = {name: {"S": value} for name, value in start.items()}
        with _errors():
            answer = self._client.query(**request)
        items = [decode_item(found) for found in answer.get("Items", [])]
        last = answer.get("LastEvaluatedKey")
        estimate = 0.0
        if "ConsumedCapacity" not in answer:
            estimate = costs.read_units(sum(costs.item_size(item) for item in items), consistent=consistent)
        consumed = Consumed(_units(answer, estimate), 0.0, answer.get("ScannedCount", len(items)), 1)
        self._count(consumed)
        return Page(items, {name: value["S"] for name, value in last.items()} if last else None, consumed)

    def _write(self, call: Any, request: dict[str, Any], size: int) -> None:
        try:
            with _errors():
                answer = call(**request)
        except ConditionFailedError:
            self._count(Consumed(0.0, costs.write_units(size), 0, 1))  # a lost condition is billed too
            raise
        self._count(Consumed(0.0, _units(answer, costs.write_units(size)), 0, 1))

    def _count(self, consumed: Consumed) -> None:
        with self._lock:
            self.consumed.add(consumed)


def create_table_request(name: str) -> dict[str, Any]:
    """The definition that `infra/data.yaml` must agree with (a test compares them): for tests and other engines."""
    return {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": n, "AttributeType": "S"} for n in ("pk", "sk", "gpk", "gsk")],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        "GlobalSecondaryIndexes": [
            {
                "IndexName": BY_DATE,
                "KeySchema": [
                    {"AttributeName": "gpk", "KeyType": "HASH"},
                    {"AttributeName": "gsk", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    }


def _key(pk: str, sk: str) -> dict[str, Any]:
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def _condition(condition: Condition | None) -> dict[str, Any]:
    match condition:
        case None:
            return {}
        case Absent():
            return {"ConditionExpression": "attribute_not_exists(pk)"}
        case Present():
            return {"ConditionExpression": "attribute_exists(pk)"}
        case Equals(attribute, value):
            expression = "#c = :c"
        case AbsentOrEquals(attribute, value):
            expression = "attribute_not_exists(pk) OR #c = :c"
    return {
        "ConditionExpression": expression,
        "ExpressionAttributeNames": {"#c": attribute},
        "ExpressionAttributeValues": {":c": _encode(value)},
    }


def _update(item_set: Mapping[str, Value], remove: Sequence[str], condition: Condition | None) -> dict[str, Any]:
    request = _condition(condition)
    names = request.setdefault("ExpressionAttributeNames", {})
    values = request.setdefault("ExpressionAttributeValues", {})
    clauses = []
    if item_set:
        names |= {f"#s{i}": name for i, name in enumerate(item_set)}
        values |= {f":s{i}": _encode(value) for i, value in enumerate(item_set.values())}
        clauses.append("SET " + ", ".join(f"#s{i} = :s{i}" for i in range(len(item_set))))
    if remove:
        names |= {f"#r{i}": name for i, name in enumerate(remove)}
        clauses.append("REMOVE " + ", ".join(f"#r{i}" for i in range(len(remove))))
    if clauses:
        request["UpdateExpression"] = " ".join(clauses)
    return {name: value for name, value in request.items() if value}


def encode_item(item: Mapping[str, Value]) -> dict[str, Any]:
    return {name: _encode(value) for name, value in item.items()}


def _encode(value: Value) -> dict[str, Any]:
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, int):
        return {"N": str(value)}
    if isinstance(value, bytes):
        return {"B": value}
    if value is None:
        return {"NULL": True}
    if isinstance(value, list):
        return {"L": [_encode(element) for element in value]}
    if isinstance(value, dict):
        return {"M": encode_item(value)}
    raise ValueError(f"a row cannot hold {type(value).__name__}")


def decode_item(found: Mapping[str, Any]) -> Item:
    return {name: _decode(value) for name, value in found.items()}


def _decode(typed: Mapping[str, Any]) -> Value:
    ((kind, value),) = typed.items()
    match kind:
        case "S" | "BOOL":
            return value
        case "N":
            return int(value)
        case "B":
            return bytes(value)
        case "NULL":
            return None
        case "L":
            return [_decode(element) for element in value]
        case "M":
            return decode_item(value)
    raise TableError(f"a row holds the type {kind}, which is not ours")


def _units(answer: Mapping[str, Any], estimate: float) -> float:
    """An engine that does not report its capacity is estimated by the same rules."""
    capacity = answer.get("ConsumedCapacity") or {}
    return float(capacity.get("CapacityUnits", estimate))


@contextmanager
def _errors() -> Iterator[None]:
    """The text of an engine's error may repeat a key: only its code goes on."""
    try:
        yield
    except ClientError as error:
        code = error.response.get("Error", {}).get("Code", "")
        if code == "ConditionalCheckFailedException":
            raise ConditionFailedError("the condition of a write did not hold") from None
        if code in _THROTTLING:
            raise ThrottledError(f"the table asks for patience: {code}") from None
        raise TableError(f"the table failed: {code}") from None
    except BotoCoreError as error:
        raise TableError(f"the table could not be reached: {type(error).__name__}") from None
