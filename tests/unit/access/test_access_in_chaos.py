"""Access over a table with DynamoDB's anomalies: pages cut anywhere, writes sent twice, answers lost, throttling."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from tests.support.chaos_table import Chaos, ChaosTable
from tests.support.clock import Clock

from maypacs.access.accounts import add_archive, add_user, get_user, list_archives, list_users, remove_role
from maypacs.access.audit import AuditLog
from maypacs.access.edges import add_enrolment_code, enrol, list_edges
from maypacs.access.keys import add_key, digest, find_key, list_keys, replace_secret, revoke_key
from maypacs.access.principals import Action, Principal, Role
from maypacs.access.secrets import new_secrets
from maypacs.access.sessions import Sessions
from maypacs.access.tokens import TokenKeys
from maypacs.errors import TooManyRequestsError, UnauthenticatedError
from maypacs.index.sqlite_table import SqliteTable
from maypacs.uids import ArchiveId, Uid

HOSP1 = ArchiveId("hosp1")
PASSWORD = "mật khẩu thử nghiệm"
#: What the SDK does below us without anybody's knowledge, often.
RESENT = Chaos(resent=0.5, lost_answer=0, throttled=0, largest_page=2)
#: And what it passes on: the caller gets an error and tries again.
ANYTHING = Chaos(resent=0.2, lost_answer=0.1, throttled=0.1, largest_page=2)
SEEDS = range(12)
_T = TypeVar("_T")


def persistently(attempt: Callable[[], _T]) -> _T:
    """As a client does that is told 503."""
    from maypacs.errors import ThrottledError

    for _ in range(50):
        try:
            return attempt()
        except ThrottledError:
            continue
    raise AssertionError("never got through")


def chaos(tmp_path: Path, seed: int, kind: Chaos) -> ChaosTable:
    return ChaosTable(SqliteTable(tmp_path / "accounts.db"), seed, kind)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_write_that_was_sent_twice_does_not_look_like_somebody_elses(tmp_path: Path, seed: int, clock: Clock) -> None:
    """The new user gets the password that was generated, the edge its key, the session its successor."""
    table = chaos(tmp_path, seed, RESENT)
    add_archive(table, "hosp1")
    made = add_user(table, "thu", archive="hosp1", role=Role.VIEWER, clock=clock)
    assert made.password is not None
    sessions = Sessions(table, TokenKeys(new_secrets()["token_keys"]), clock)
    session = sessions.log_in("thu", made.password, address="192.0.2.1")
    for _ in range(6):
        clock.advance(60)
        session = sessions.refresh(session.refresh_token)
    code = add_enrolment_code(table, "hosp1", clock=clock).code
    enrolment = enrol(table, code, clock=clock)
    with pytest.raises(UnauthenticatedError):
        enrol(table, code, clock=clock)
    with table.calm():
        assert list_edges(table, HOSP1) == [enrolment.edge]
        assert find_key(table, enrolment.key.key) == enrolment.key.about
        table.inner.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("seed", SEEDS)
def test_whoever_tries_again_gets_there_and_nothing_is_half_done(tmp_path: Path, seed: int, clock: Clock) -> None:
    """Every use case may be repeated after an error; what is revoked is gone, what is listed is whole."""
    table = chaos(tmp_path, seed, ANYTHING)
    archives = [f"hosp{n}" for n in range(7)]
    for archive in archives:
        persistently(lambda archive=archive: add_archive(table, archive))  # type: ignore[misc]
    for n in range(7):
        persistently(
            lambda n=n: add_user(table, f"user{n}", archive="hosp1", role=Role.VIEWER, clock=clock)  # type: ignore[misc]
        )
    persistently(lambda: remove_role(table, "user3", HOSP1))
    key = persistently(lambda: add_key(table, "hosp1", Role.VIEWER, clock=clock))
    persistently(lambda: revoke_key(table, HOSP1, key.about.key_id))
    assert [a.archive_id for a in persistently(lambda: list_archives(table))] == archives
    with table.calm():
        assert find_key(table, key.key) is None
        assert [u.user for u in list_users(table, HOSP1)] == [f"user{n}" for n in (0, 1, 2, 4, 5, 6)]
        assert get_user(table, "user3").roles == {}
        # What an attempt left behind is listed, so that a person can revoke it: nothing works unseen.
        listed = {k.key_id for k in list_keys(table, HOSP1)}
        assert key.about.key_id not in listed
        table.inner.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_thief_is_not_let_in_by_chaos(tmp_path: Path, seed: int, clock: Clock) -> None:
    """Wrong passwords never pass and the lock holds, whatever the table does meanwhile."""
    table = chaos(tmp_path, seed, ANYTHING)
    with table.calm():
        add_user(table, "thu", password=PASSWORD)
    sessions = Sessions(table, TokenKeys(new_secrets()["token_keys"]), clock)
    refusals: list[type[Exception]] = []
    for n in range(16):
        with pytest.raises((UnauthenticatedError, TooManyRequestsError)) as refused:
            persistently(lambda n=n: sessions.log_in("thu", f"wrong password {n}", address="192.0.2.1"))  # type: ignore[misc]
        refusals.append(refused.type)
    assert refusals[-1] is TooManyRequestsError
    assert UnauthenticatedError in refusals
    table.inner.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("seed", SEEDS)
def test_an_audit_record_is_there_before_the_answer(tmp_path: Path, seed: int, clock: Clock) -> None:
    """When `record` returns, it is written, once."""
    table = chaos(tmp_path, seed, ANYTHING)
    log = AuditLog(table, clock=clock)
    doctor = Principal("user", "thu", "BS Thử", {HOSP1: Role.RADIOLOGIST})
    for n in range(5):
        persistently(lambda n=n: log.record(doctor, Action.READ, HOSP1, Uid(f"1.2.{n}")))  # type: ignore[misc]
        with table.calm():
            assert len(log.read(HOSP1, "20270115")) == n + 1
    table.inner.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("kind", [RESENT, ANYTHING], ids=["resent", "anything"])
def test_a_key_that_gets_a_new_secret_always_has_one_that_works(
    tmp_path: Path, seed: int, kind: Chaos, clock: Clock
) -> None:
    """Whoever holds both gets on at any moment, and at the end with the new one alone; a revocation ends both."""
    table = chaos(tmp_path, seed, kind)
    with table.calm():
        add_archive(table, "hosp1")
        key = add_key(table, "hosp1", Role.TECHNICIAN, clock=clock)
    old, new = key.key, "mpk_" + "n" * 43

    def attempt() -> None:
        with table.calm():
            working = [secret for secret in (old, new) if find_key(table, secret)]
        assert working, "locked out"
        replace_secret(table, HOSP1, key.about.key_id, presented=working[0], replacement=digest(new))

    persistently(attempt)
    with table.calm():
        assert find_key(table, old) is None
        assert find_key(table, new) == key.about
        assert list_keys(table, HOSP1) == [key.about]
    with pytest.raises(UnauthenticatedError):
        persistently(
            lambda: replace_secret(table, HOSP1, key.about.key_id, presented=old, replacement=digest("mpk_other"))
        )
    persistently(lambda: revoke_key(table, HOSP1, key.about.key_id))
    with table.calm():
        assert find_key(table, new) is None
        assert list_keys(table, HOSP1) == []


@pytest.mark.parametrize("at", range(9))
def test_a_key_revoked_while_it_gets_a_new_secret_has_none(tmp_path: Path, at: int, clock: Clock) -> None:
    """Whichever call of the replacement the revocation comes before."""
    table = SqliteTable(tmp_path / "accounts.db")
    add_archive(table, "hosp1")
    key = add_key(table, "hosp1", Role.TECHNICIAN, clock=clock)
    new = "mpk_" + "n" * 43
    with pytest.raises(UnauthenticatedError) if at < 6 else contextlib.nullcontext():
        replace_secret(
            RevokedBefore(table, at, key.about.key_id),
            HOSP1,
            key.about.key_id,
            presented=key.key,
            replacement=digest(new),
        )
    revoke_key(table, HOSP1, key.about.key_id)
    assert find_key(table, key.key) is None
    assert find_key(table, new) is None
    assert list_keys(table, HOSP1) == []
    table.close()


class RevokedBefore:
    """A table before whose n-th call somebody else revokes the key."""

    def __init__(self, table: SqliteTable, at: int, key_id: str) -> None:
        self._table, self._left, self._key_id = table, at, key_id

    def __getattr__(self, name: str) -> Any:
        if self._left == 0:
            revoke_key(self._table, HOSP1, self._key_id)
        self._left -= 1
        return getattr(self._table, name)
