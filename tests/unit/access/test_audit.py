"""The audit log."""

from __future__ import annotations

import pytest
from tests.support.clock import Clock

from maypacs.access.audit import AuditLog
from maypacs.access.principals import Action, Principal, Role
from maypacs.errors import ThrottledError
from maypacs.index.table import Absent, Table
from maypacs.uids import ArchiveId, Uid

HOSP1, HOSP10 = ArchiveId("hosp1"), ArchiveId("hosp10")
DOCTOR = Principal("user", "thu", "BS Thử", {HOSP1: Role.RADIOLOGIST})
STUDY = Uid("1.2.3")
#: 08:00 UTC of the clock's day, so that ten minutes begin where the test says.
MORNING = 1_800_000_000.0


def test_one_record_for_a_principal_study_and_action_in_ten_minutes(accounts: Table) -> None:
    """Two processes and many frames make one row; the next ten minutes, study or action make another."""
    clock = Clock(MORNING - MORNING % 600)
    logs = [AuditLog(accounts, clock=clock) for _ in range(2)]
    for log in logs:
        for _ in range(3):
            log.record(DOCTOR, Action.READ, HOSP1, STUDY)
            clock.advance(60)
    assert len(logs[0].read(HOSP1, "20270115")) == 1
    logs[0].record(DOCTOR, Action.READ, HOSP1, Uid("1.2.4"))
    logs[0].record(DOCTOR, Action.SEARCH, HOSP1)
    clock.advance(600)
    logs[0].record(DOCTOR, Action.READ, HOSP1, STUDY)
    records = logs[1].read(HOSP1, "20270115")
    assert [(r.action, r.study_instance_uid) for r in records] == [
        ("read", "1.2.3"),
        ("search", ""),
        ("read", "1.2.4"),
        ("read", "1.2.3"),
    ]
    assert records[0].principal == "user:thu"
    assert logs[0].read(HOSP10, "20270115") == []


def test_what_cannot_be_recorded_is_not_answered(accounts: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error reaches the handler, and the next try writes again."""
    log = AuditLog(accounts, clock=Clock(MORNING))
    put = accounts.put

    def throttled(item: dict[str, object], *, condition: Absent | None = None) -> None:
        raise ThrottledError("later")

    monkeypatch.setattr(accounts, "put", throttled)
    with pytest.raises(ThrottledError):
        log.record(DOCTOR, Action.READ, HOSP1, STUDY)
    monkeypatch.setattr(accounts, "put", put)
    log.record(DOCTOR, Action.READ, HOSP1, STUDY)
    assert len(log.read(HOSP1, "20270115")) == 1


def test_a_record_is_never_overwritten(accounts: Table) -> None:
    """The first one of the ten minutes stands, with its time."""
    clock = Clock(MORNING - MORNING % 600 + 5)
    AuditLog(accounts, clock=clock).record(DOCTOR, Action.READ, HOSP1, STUDY)
    first = AuditLog(accounts).read(HOSP1, "20270115")
    clock.advance(60)
    AuditLog(accounts, clock=clock).record(DOCTOR, Action.READ, HOSP1, STUDY)
    assert AuditLog(accounts).read(HOSP1, "20270115") == first
