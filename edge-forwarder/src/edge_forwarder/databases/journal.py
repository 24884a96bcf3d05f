"""The journal: what is known about each spooled instance and each pack, in one SQLite file.

It can always be rebuilt: the files of the spool are the truth, and an upload that is repeated is a success. So it is
not synced to the disk at each step, and one that cannot be read is put aside and started anew.

The states of a pack (an instance without a pack is *received*)::

    packed ──▶ uploading ──▶ sent ──▶ indexed (files deleted, then the rows)
      ▲            │           │  └──▶ attention (a conflict or a quarantine: files set aside, rows deleted)
      └── failed ◀─┴───────────┘
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from edge_forwarder.databases import journal_schema
from edge_forwarder.databases.database import Database
from edge_forwarder.dicom.peek import Identity


class PackState(StrEnum):
    PACKED = "packed"
    UPLOADING = "uploading"
    SENT = "sent"
    INDEXED = "indexed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class InstanceRow:
    """One spooled instance; ``identity`` is None for a file whose UIDs cannot be read, ``pack`` while it is
    received only; ``stat``: its pack goes before others.
    """

    name: str
    size: int
    identity: Identity | None
    pack: str | None = None
    stat: bool = False


@dataclass(frozen=True, slots=True)
class PackRow:
    """One upload. Times in seconds since the epoch; ``attempts`` counts failures since the last success."""

    id: str
    state: PackState
    created_at: float
    boundary: str | None = None
    arrival: str | None = None
    length: int | None = None
    sha256: str | None = None
    sent_at: float | None = None
    attempts: int = 0
    error: str | None = None
    stat: bool = False


@dataclass(frozen=True, slots=True)
class Queue:
    """How much is in one state."""

    instances: int
    bytes: int
    packs: int
    oldest: str | None
    """The name of its oldest file; the name tells the time."""


class Journal(Database):
    noun = "journal"
    schema = journal_schema.SCHEMA
    schema_version = journal_schema.VERSION
    migrations = journal_schema.MIGRATIONS
    rebuilt = True
    #: The spool is the truth: a journal that is a moment old after a power cut costs a repeated upload, nothing more.
    synced = False

    # Instances

    def add_instance(self, name: str, size: int, identity: Identity | None, *, stat: bool = False) -> None:
        i = identity
        self._do(
            "insert or replace into instances values (?,?,null,?,?,?,?,?,?,?,?)",
            name,
            size,
            *(
                (None,) * 7
                if i is None
                else (
                    i.study_instance_uid,
                    i.series_instance_uid,
                    i.sop_instance_uid,
                    i.sop_class_uid,
                    i.transfer_syntax_uid,
                    i.modality,
                    i.instance_number,
                )
            ),
            int(stat),
        )

    def names(self) -> set[str]:
        return {row["name"] for row in self._rows("select name from instances")}

    def instance(self, name: str) -> InstanceRow | None:
        rows = self._rows("select * from instances where name = ?", name)
        return _instance(rows[0]) if rows else None

    def waiting_for_pack(self) -> list[InstanceRow]:
        return [_instance(row) for row in self._rows("select * from instances where pack is null order by name")]

    def members(self, pack: str) -> list[InstanceRow]:
        """In the order of the parts."""
        rows = self._rows("select * from instances where pack = ? order by number, sop, name", pack)
        return [_instance(row) for row in rows]

    def a_member(self, pack: str) -> str | None:
        """The name of one of its files."""
        rows = self._rows("select name from instances where pack = ? limit 1", pack)
        return str(rows[0]["name"]) if rows else None

    def same_sop(self, identity: Identity) -> list[InstanceRow]:
        """Other spooled instances of one key (study, series, SOP instance)."""
        rows = self._rows(
            "select * from instances where sop = ? and series = ? and study = ?",
            identity.sop_instance_uid,
            identity.series_instance_uid,
            identity.study_instance_uid,
        )
        return [_instance(row) for row in rows]

    def changed(self, name: str, size: int, transfer_syntax_uid: str) -> InstanceRow:
        """A file holds the same image in other bytes: what was known of its pack's body holds no more."""
        with self.transaction():
            self._do("update instances set size = ?, syntax = ? where name = ?", size, transfer_syntax_uid, name)
            row = self.instance(name)
            assert row is not None
            if row.pack is not None:
                self.update_pack(row.pack, boundary=None, sha256=None, length=None, arrival=None)
            return row

    def forget_instances(self, names: Iterable[str]) -> None:
        with self.transaction():
            for name in names:
                self._do("delete from instances where name = ?", name)

    # Packs

    def add_pack(self, pack: str, names: Iterable[str], *, stat: bool = False) -> None:
        with self.transaction():
            self._do(
                "insert into packs (id, state, created_at, stat) values (?,?,?,?)",
                pack,
                PackState.PACKED,
                time.time(),
                int(stat),
            )
            for name in names:
                self._do("update instances set pack = ? where name = ?", pack, name)

    def split(self, pack: str, other: str, names: Iterable[str]) -> None:
        """Some members leave for a pack of their own; what was known of the body holds no more."""
        with self.transaction():
            self.add_pack(other, names)
            self.update_pack(pack, sha256=None, length=None, arrival=None)

    def pack(self, pack: str) -> PackRow | None:
        rows = self._rows("select * from packs where id = ?", pack)
        return _pack(rows[0]) if rows else None

    def packs(self, *states: PackState) -> list[PackRow]:
        """Oldest first."""
        marks = ",".join("?" * len(states))
        return [_pack(row) for row in self._rows(f"select * from packs where state in ({marks}) order by id", *states)]  # noqa: S608 - only marks

    def has_packs(self, *states: PackState) -> bool:
        """Whether there is any."""
        return any(self._rows("select 1 from packs where state = ? limit 1", state) for state in states)

    def update_pack(self, pack: str, state: PackState | None = None, **values: Any) -> None:
        """Set columns of a pack, which are those of `PackRow`."""
        if state is not None:
            values["state"] = state
        if unknown := values.keys() - PackRow.__slots__:
            raise ValueError(f"no such column: {sorted(unknown)}")
        columns = ", ".join(f"{name} = ?" for name in values)
        self._do(f"update packs set {columns} where id = ?", *values.values(), pack)  # noqa: S608 - names checked above

    def claim(self, pack: str) -> PackRow | None:
        """Make it *uploading* and return what it was before; None when it is not for uploading (any more)."""
        with self.transaction():
            row = self.pack(pack)
            if row is None or row.state not in (PackState.PACKED, PackState.FAILED):
                return None
            self.update_pack(pack, PackState.UPLOADING)
            return row

    def forget_pack(self, pack: str) -> None:
        with self.transaction():
            self._do("delete from instances where pack = ?", pack)
            self._do("delete from packs where id = ?", pack)

    def reopen(self) -> None:
        """After a restart: what was being uploaded, or waited for another try, is to be uploaded now."""
        self._do(
            "update packs set state = ? where state in (?, ?)", PackState.PACKED, PackState.UPLOADING, PackState.FAILED
        )

    # Boundaries of studies, as the archive's key makes them

    def boundary(self, study: str) -> str | None:
        rows = self._rows("select boundary from boundaries where study = ?", study)
        return str(rows[0]["boundary"]) if rows else None

    def remember_boundaries(self, boundaries: Mapping[str, str]) -> None:
        with self.transaction():
            for study, boundary in boundaries.items():
                self._do("insert or replace into boundaries values (?,?)", study, boundary)

    # Facts: counters and times that `status` shows

    def set_fact(self, name: str, value: float | int | str | None) -> None:
        self._do("insert or replace into facts values (?,?)", name, value)

    def count(self, name: str, more: int = 1) -> None:
        self._do(
            "insert into facts values (?,?) on conflict (name) do update set value = value + excluded.value", name, more
        )

    def facts(self) -> dict[str, Any]:
        return {row["name"]: row["value"] for row in self._rows("select * from facts")}

    def queues(self) -> dict[str, Queue]:
        """By state, *received* included."""
        rows = self._rows(
            "select coalesce(p.state, 'received') as state, count(*) as n, sum(i.size) as bytes,"
            " count(distinct p.id) as packs, min(i.name) as oldest"
            " from instances i left join packs p on p.id = i.pack group by 1"
        )
        return {row["state"]: Queue(row["n"], row["bytes"] or 0, row["packs"], row["oldest"]) for row in rows}


def _instance(row: sqlite3.Row) -> InstanceRow:
    identity = None
    if row["sop"] is not None:
        identity = Identity(
            study_instance_uid=row["study"],
            series_instance_uid=row["series"],
            sop_instance_uid=row["sop"],
            sop_class_uid=row["sop_class"],
            transfer_syntax_uid=row["syntax"],
            modality=row["modality"],
            instance_number=row["number"],
        )
    return InstanceRow(row["name"], row["size"], identity, row["pack"], bool(row["stat"]))


def _pack(row: sqlite3.Row) -> PackRow:
    values = dict(row)
    return PackRow(**{**values, "stat": bool(values["stat"]), "state": PackState(values["state"])})
