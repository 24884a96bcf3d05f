"""What calls on a table cost in DynamoDB's units, and what no engine takes: one set of rules for every adapter.

Sizes follow the DynamoDB developer guide ("item sizes and formats"): the UTF-8 length of names and strings, the length
of bytes, about half a byte a digit, 1 for null and booleans, 3 and 1 an element for lists and maps. A write unit is
1 KB, a read unit 4 KB read consistently or 8 KB read eventually.
"""

from __future__ import annotations

from collections.abc import Mapping

from maypacs.errors import TableError
from maypacs.index.table import Item, Value

MAX_ITEM_BYTES = 400 * 1024
MAX_PAGE_BYTES = 1024 * 1024
MAX_PK_BYTES = 2048
MAX_SK_BYTES = 1024


def value_size(value: Value) -> int:
    if isinstance(value, str):
        return len(value) if value.isascii() else len(value.encode())
    if value is None or isinstance(value, bool):
        return 1
    if isinstance(value, int):
        return len(str(abs(value))) // 2 + 2
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, list):
        return 3 + sum(1 + value_size(element) for element in value)
    if isinstance(value, dict):
        return 3 + len(value) + item_size(value)
    raise ValueError(f"a row holds str, int, bool, bytes, None, lists and dicts, not {type(value).__name__}")


def item_size(item: Mapping[str, Value]) -> int:
    if "" in item:
        raise ValueError("an attribute has a name")
    size = 0
    for name, value in item.items():  # a loop: every row of every write passes here
        size += len(name) if name.isascii() else len(name.encode())
        size += len(value) if type(value) is str and value.isascii() else value_size(value)
    return size


def read_units(size: int, *, consistent: bool) -> float:
    blocks = max(1, -(-size // 4096))
    return float(blocks) if consistent else blocks / 2


def write_units(size: int) -> float:
    return float(max(1, -(-size // 1024)))


def check_key(pk: str, sk: str) -> None:
    """ValueError for an empty key, TableError for one that is too long: what DynamoDB refuses, refused everywhere."""
    if not pk or not sk:
        raise ValueError("pk and sk are not empty")
    if len(pk) + len(sk) <= MAX_SK_BYTES // 4:  # whatever the characters are
        return
    if len(pk.encode()) > MAX_PK_BYTES or len(sk.encode()) > MAX_SK_BYTES:
        raise TableError(f"a key is too long: pk up to {MAX_PK_BYTES} bytes, sk up to {MAX_SK_BYTES}")


def check_item(item: Item) -> int:
    """The size of a row that every engine takes. ValueError for what is no row, TableError for one too large."""
    check_key(item["pk"], item["sk"])
    for name in ("gpk", "gsk"):
        if name in item and (not isinstance(item[name], str) or not item[name]):
            raise ValueError(f"{name} is a string that is not empty, or absent")
    if "gsk" in item and len(item["gsk"].encode()) > MAX_SK_BYTES:
        raise TableError(f"gsk is too long: up to {MAX_SK_BYTES} bytes")
    size = item_size(item)
    if size > MAX_ITEM_BYTES:
        raise TableError(f"a row of {size} bytes is too large: up to {MAX_ITEM_BYTES}")
    return size


def check_query(
    *, prefix: str | None, between: tuple[str, str] | None, index: str | None, consistent: bool, limit: int | None
) -> None:
    """ValueError for a query that some engine would refuse or answer differently."""
    if index is not None and index != "by_date":
        raise ValueError("the only index is by_date")
    if index is not None and consistent:
        raise ValueError("an index is never read consistently: its hits are candidates, verify them against the row")
    if prefix is not None and between is not None:
        raise ValueError("prefix or between, not both")
    if limit is not None and limit < 1:
        raise ValueError("limit is at least 1")


def check_update(item_set: Mapping[str, Value], remove: object) -> None:
    names = set(item_set)
    removed = set(remove)  # type: ignore[call-overload]
    if {"pk", "sk"} & (names | removed):
        raise ValueError("pk and sk of a row do not change")
    if not names | removed:
        raise ValueError("an update sets or removes something")
    if names & removed:
        raise ValueError("an attribute is set or removed, not both")
