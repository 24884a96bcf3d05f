"""Series whose packs wait to be put together, or to be taken away after that: one small row each, ``{a}#C``.

Who walks over a series and sees that it wants it writes the row, unless it is there: one write a series, none for a
series of few packs. The rows of an archive are those that wait, so reading them all is cheap. Two times say when:

* ``due``: nobody touches the series before. Whoever takes the row moves it ahead by `LEASE`: if he dies, another comes.
* ``clean``: packs that were replaced stay until then; 0: nothing was replaced yet, as far as this row knows.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from maypacs.errors import ConditionFailedError
from maypacs.index import merging, series_rows
from maypacs.index.pack_rows import PackHead
from maypacs.index.rows import SCHEMA_VERSION
from maypacs.index.table import Absent, Equals, Item, Table
from maypacs.uids import ArchiveId, Uid

#: Milliseconds. From the registration of a series to the first look at it.
FIRST_LOOK = 3_600_000
#: Longer than a function or a run on a node may take.
LEASE = 1_800_000
#: How long a replaced pack stays: an answer composed of it lives a day, a signed URL half an hour, and a slow download.
GRACE = 2 * 86_400_000


@dataclass(frozen=True, slots=True)
class Due:
    archive_id: ArchiveId
    study: Uid
    series: Uid
    due: int  #: milliseconds since the epoch, as `clean`
    clean: int = 0
    worker: str = ""  #: a nonce of who has taken it; "": nobody
    writing: str = ""  #: id of a pack whose objects may be there while no row of it is

    @property
    def key(self) -> tuple[str, str]:
        return _pk(self.archive_id), f"{self.study}#{self.series}"

    def to_item(self) -> Item:
        pk, sk = self.key
        values = {"due": self.due, "clean": self.clean, "worker": self.worker, "writing": self.writing}
        return {"pk": pk, "sk": sk, "v": SCHEMA_VERSION, **values}

    @classmethod
    def from_item(cls, item: Item) -> Due:
        study, _, series = item["sk"].partition("#")
        archive = ArchiveId(item["pk"].partition("#")[0])
        return cls(archive, Uid(study), Uid(series), item["due"], item["clean"], item["worker"], item["writing"])


def _pk(archive_id: ArchiveId) -> str:
    return f"{archive_id}#C"


def notice(table: Table, heads: Sequence[PackHead], now: int) -> bool:
    """Registers a series, given the heads of all its packs, if it wants it. True: there is a row of it now."""
    if not wants(heads):
        return False
    row = row_of(heads, now)
    if table.get(*row.key) is None:
        with suppress(ConditionFailedError):  # somebody else did
            table.put(row.to_item(), condition=Absent())
    return True


def row_of(heads: Sequence[PackHead], now: int) -> Due:
    """A new row of the series of these packs."""
    first = heads[0]
    clean = now + GRACE if series_rows.replaced(heads) else 0
    return Due(first.archive_id, first.study_instance_uid, first.series_instance_uid, now + FIRST_LOOK, clean)


def wants(heads: Sequence[PackHead]) -> bool:
    """Of all packs of a series: is there something to put together, or to take away?"""
    if series_rows.replaced(heads):
        return True
    return sum(merging.is_small(head) for head in heads) >= merging.MIN_PACKS and bool(merging.plan(heads))


def waiting(table: Table, archive_id: ArchiveId) -> Iterator[Due]:
    """Every row of an archive, consistently; those that come meanwhile may be missed."""
    for item in series_rows.query_all(table, _pk(archive_id), ""):
        yield Due.from_item(item)


def take(table: Table, row: Due, now: int) -> Due | None:
    """Ours for the time of a lease; None: somebody was faster, or changed it."""
    taken = replace(row, due=now + LEASE, worker=uuid.uuid4().hex[:16])
    return _put(table, taken, Equals("due", row.due))


def change(table: Table, row: Due, **values: int | str) -> Due | None:
    """Writes other values while the row is ours (`worker` is who we are); None: it is not any more."""
    return _put(table, Due.from_item(row.to_item() | values), Equals("worker", row.worker))


def _put(table: Table, row: Due, condition: Equals) -> Due | None:
    try:
        table.put(row.to_item(), condition=condition)
    except ConditionFailedError:
        held = table.get(*row.key)
        return row if held is not None and Due.from_item(held) == row else None  # an SDK's retry met its own write
    return row


def drop(table: Table, row: Due) -> None:
    """The series wants nothing more; while the row is ours."""
    with suppress(ConditionFailedError):
        table.delete(*row.key, condition=Equals("worker", row.worker))
