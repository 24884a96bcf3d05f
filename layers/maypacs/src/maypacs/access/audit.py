"""The audit log: one record a (principal, study, action, ten minutes), written before the answer.

Rows of the accounts table: ``{archive}#L#{yyyymmdd}`` / ``{hhmm}#{kind}:{id}#{action}#{study}`` (UTC; hhmm is the start
of the ten minutes). The key is the whole record, so that writing it again changes nothing.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from maypacs.access.principals import Action, Principal
from maypacs.errors import ConditionFailedError
from maypacs.index.table import Absent, Table
from maypacs.uids import ArchiveId, Uid

WINDOW_SECONDS = 600
_MEMO_LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class AuditRecord:
    at: str  #: first time in the ten minutes, ISO 8601, UTC
    principal: str  #: kind:id
    name: str
    action: str
    study_instance_uid: str  #: "" when it concerns the whole archive
    detail: str = ""  #: of administrative acts: whom or what it concerned; never a patient's data


class AuditLog:
    def __init__(self, accounts: Table, *, clock: Callable[[], float] = time.time) -> None:
        self._accounts = accounts
        self._clock = clock
        self._written: dict[tuple[str, str], None] = {}

    def record(
        self, principal: Principal, action: Action, archive_id: ArchiveId, study: Uid | None = None, *, detail: str = ""
    ) -> None:
        """Call it before answering with anything of a patient. Raises TableError: then nothing must be answered.

        What this process wrote in these ten minutes is remembered, so a viewer that reads 500 frames costs one write.
        """
        now = datetime.fromtimestamp(self._clock(), UTC)
        start = now.replace(minute=now.minute - now.minute % 10)
        pk = f"{archive_id}#L#{start:%Y%m%d}"
        sk = f"{start:%H%M}#{principal}#{action}#{study or ''}" + (f"#{detail}" if detail else "")
        if (pk, sk) in self._written:
            return
        item = {
            "pk": pk,
            "sk": sk,
            "v": 1,
            "at": now.isoformat(timespec="seconds"),
            "principal": str(principal),
            "name": principal.name,
            "action": str(action),
            "study": study or "",
            "detail": detail,
        }
        with contextlib.suppress(ConditionFailedError):  # recorded already, by another process
            self._accounts.put(item, condition=Absent())
        if len(self._written) >= _MEMO_LIMIT:
            self._written.clear()
        self._written[pk, sk] = None

    def read(self, archive_id: ArchiveId, day: str, *, limit: int = 1000) -> list[AuditRecord]:
        """The newest records of a day (YYYYMMDD, UTC), newest first."""
        records: list[AuditRecord] = []
        start = None
        while len(records) < limit:
            page = self._accounts.query(
                f"{archive_id}#L#{day}", reverse=True, limit=limit - len(records), start=start, consistent=True
            )
            records += [
                AuditRecord(i["at"], i["principal"], i["name"], i["action"], i["study"], i["detail"])
                for i in page.items
            ]
            start = page.next
            if start is None:
                break
        return records
