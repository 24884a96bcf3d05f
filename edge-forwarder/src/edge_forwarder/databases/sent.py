"""The ledger's table of what each device sent, and what became of it.

An instance's row is written by the keeper (and again after a crash, from the spool's file), its digest by the uploader,
its outcome by the watcher.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from edge_forwarder.databases.database import Database
from edge_forwarder.dicom.peek import Identity
from edge_forwarder.dicom.syntaxes import was_compressed

#: A row as a `Sent`.
_SENT: Final = (
    "name, file, ae as ae_title, sop as sop_instance_uid, sop_class as sop_class_uid, study as study_instance_uid,"
    " series as series_instance_uid, digest, state, syntax, sent_as, sent_syntax, arrival"
)
#: Names in one question.
_AT_ONCE: Final = 500


class SentState(StrEnum):
    SPOOLED = "spooled"
    INDEXED = "indexed"
    CONFLICT = "conflict"
    """The cloud holds other bytes under this UID, and these beside them."""
    REFUSED = "refused"
    """Quarantined, or lost before the upload."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One instance as one device sent it. ``file`` is the spool's file with its bytes: its own, or that of an equal one
    that was there already. ``digest`` is the SHA-256 of its data set in the transfer syntax ``syntax``, as the device
    sent it; ``sent_as`` of what goes up for it, in ``sent_syntax``: the same, or its data set compressed; all once
    known. ``arrival``: the upload of it that the cloud is done with.
    """

    name: str
    file: str
    ae_title: str
    sop_instance_uid: str
    sop_class_uid: str
    study_instance_uid: str
    series_instance_uid: str
    digest: str | None
    state: SentState
    syntax: str
    sent_as: str | None
    sent_syntax: str | None
    arrival: str | None


class SentTable(Database):
    """Of `ledger.Ledger`."""

    def add(self, name: str, ae_title: str, identity: Identity, file: str | None = None) -> None:
        """An instance that was received; ``file``: an equal one in the spool, when it is not kept twice. Known ones
        stay as they are. Study and series are empty when they cannot be read.
        """
        sql = f"select {_SENT} from sent where name = ?"  # noqa: S608
        equal: Mapping[str, Any] = next((dict(row) for row in self._rows(sql, file)), {}) if file else {}
        self._do(
            "insert or ignore into sent (name, file, ae, sop, sop_class, study, series, digest, state, at,"
            " syntax, sent_as, sent_syntax, arrival, turn)"
            # Which of several under one UID is the latest does not go by a clock.
            " values (?,?,?,?,?,?,?,?,?,?,?,?,?,?, (select 1 + coalesce(max(turn), 0) from sent where sop = ?))",
            name,
            file or name,
            ae_title,
            identity.sop_instance_uid,
            identity.sop_class_uid,
            identity.study_instance_uid,
            identity.series_instance_uid,
            equal.get("digest"),
            equal.get("state", SentState.SPOOLED),
            time.time(),
            identity.transfer_syntax_uid,
            equal.get("sent_as"),
            equal.get("sent_syntax"),
            equal.get("arrival"),
            identity.sop_instance_uid,
        )

    def digests(
        self, digests: Mapping[str, str], syntaxes: Mapping[str, str | None] | None = None, *, synced: bool = False
    ) -> None:
        """SHA-256 of data sets, and the transfer syntaxes that they are in, by file. The first of a file is of what the
        device sent; a later one of what is sent in its place, for it is the same image.
        """
        sql = (
            "update sent set digest = coalesce(digest, ?), sent_as = ?, sent_syntax = coalesce(?, sent_syntax)"
            " where file = ?"
        )
        with self.transaction(synced=synced):
            for file, digest in digests.items():
                self._do(sql, digest, digest, (syntaxes or {}).get(file), file)

    def digests_of(self, files: Mapping[str, str | None]) -> dict[str, str]:
        """What the SHA-256 of files' data sets must be, where known; given the transfer syntax that each is in now."""
        sql = "select syntax, digest, sent_as from sent where file = ? and digest is not null limit 1"
        found = {}
        for file, now in files.items():
            for row in self._rows(sql, file):
                digest = row["digest"]
                if now is not None and was_compressed(row["syntax"], now):
                    # Whoever compressed it may have been stopped before that was written down.
                    digest = row["sent_as"] if row["sent_as"] != digest else None
                if digest:
                    found[file] = str(digest)
        return found

    def settle(
        self, files: Iterable[str], state: SentState, *, arrival: str | None = None, known: bool = False
    ) -> None:
        """What became of these files, and so of each instance that they carry: by which upload, if it was one;
        ``known``: the cloud had it before.
        """
        sql, now = "update sent set state = ?, at = ?, known = ?, arrival = ? where file = ?", time.time()
        with self.transaction():
            for file in files:
                self._do(sql, state, now, int(known), arrival, file)

    def lost(self, files: Sequence[str]) -> list[str]:
        """Which of these files, gone from the spool, went before their fate was known; that is theirs, then. The others
        are no loss: after a power cut the journal may be older than their deletion, and the ledger is not.
        """
        known = self.states(files)
        lost = [file for file in files if known.get(file, SentState.SPOOLED) is SentState.SPOOLED]
        self.settle(lost, SentState.REFUSED)
        return lost

    def spooled_again(self, files: Sequence[str]) -> None:
        """Files that were set aside are handed over once more: their fate is open again."""
        if files:
            self.settle(files, SentState.SPOOLED)

    def states(self, names: Sequence[str]) -> dict[str, SentState]:
        """What became of instances, by name; those that the keeper has not seen are not in it."""
        return {row["name"]: SentState(row["state"]) for row in self._named(names)}

    def known(self, names: Sequence[str]) -> set[str]:
        """Those of them that did not have to be uploaded: the cloud had them, byte for byte."""
        return {row["name"] for row in self._named(names, " and known = 1")}

    def _named(self, names: Sequence[str], more: str = "") -> Iterator[sqlite3.Row]:
        for at in range(0, len(names), _AT_ONCE):
            some = names[at : at + _AT_ONCE]
            marks = ",".join("?" * len(some))
            yield from self._rows(f"select name, state from sent where name in ({marks}){more}", *some)  # noqa: S608

    def of_study(self, study: str) -> dict[str, SentState]:
        """What became of a study's instances, whoever sent them: by SOP Instance UID, *indexed* before any other."""
        found: dict[str, SentState] = {}
        for row in self._rows("select sop, state from sent where study = ? order by turn, name", study):
            if found.get(row["sop"]) != SentState.INDEXED:
                found[row["sop"]] = SentState(row["state"])
        return found

    def sent(self, sop_instance_uid: str) -> list[Sent]:
        """In the order in which they came."""
        # Names begin with the time of arrival: the order among those of an earlier version.
        rows = self._rows(f"select {_SENT} from sent where sop = ? order by turn, name", sop_instance_uid)  # noqa: S608
        return [Sent(**{**dict(row), "state": SentState(row["state"])}) for row in rows]
