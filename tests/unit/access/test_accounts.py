"""Archives, users, keys, edges: the use cases of the command line and the console."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from tests.support.clock import Clock

from maypacs.access.accounts import add_archive, add_user, get_archive, get_user, list_archives, list_users, remove_role
from maypacs.access.edges import CODE_SECONDS, add_enrolment_code, enrol, list_edges, remove_edge
from maypacs.access.gatekeeper import Gatekeeper
from maypacs.access.keys import add_key, find_key, list_keys, revoke_key
from maypacs.access.principals import Action, Role
from maypacs.errors import BadRequestError, ConflictError, NotFoundError, UnauthenticatedError
from maypacs.index.sqlite_table import SqliteTable
from maypacs.index.table import Table
from maypacs.uids import ArchiveId

HOSP1, HOSP10 = ArchiveId("hosp1"), ArchiveId("hosp10")


def test_adding_an_archive_again_changes_nothing_but_a_given_name(accounts: Table) -> None:
    """So that a script may run twice."""
    before = get_archive(accounts, "hosp1")
    assert add_archive(accounts, "hosp1") == before
    assert add_archive(accounts, "hosp1", name="Bệnh viện Khác").created_at == before.created_at
    assert [(a.archive_id, a.name) for a in list_archives(accounts)] == [
        ("hosp1", "Bệnh viện Khác"),
        ("hosp10", "Bệnh viện Mười"),
    ]


@pytest.mark.parametrize("archive", ["", "ab", "Hosp1", "hosp 1", "hosp#1", "hosp/1", "x" * 33, "bệnh-viện"])
def test_an_archive_id_is_three_to_thirty_two_plain_characters(accounts: Table, archive: str) -> None:
    """It is in every key and every URL."""
    with pytest.raises(BadRequestError):
        add_archive(accounts, archive)


def test_a_user_added_twice_has_both_roles_and_one_password(accounts: Table) -> None:
    """The second time no password is made: the first one still holds."""
    first = add_user(accounts, "thu", archive="hosp1", role=Role.VIEWER)
    second = add_user(accounts, "Thu", archive="hosp10", role=Role.ADMIN)
    assert first.created
    assert first.password is not None
    assert (second.created, second.password) == (False, None)
    assert get_user(accounts, "thu").roles == {HOSP1: Role.VIEWER, HOSP10: Role.ADMIN}
    with pytest.raises(ConflictError):
        add_user(accounts, "thu", archive="hosp1", role=Role.ADMIN, password="another password")


def test_users_are_listed_by_archive_and_altogether(accounts: Table) -> None:
    """A removed role is gone from the archive's list, and removing it again is a success."""
    add_user(accounts, "a1", archive="hosp1", role=Role.VIEWER)
    add_user(accounts, "b1", archive="hosp1", role=Role.ADMIN)
    add_user(accounts, "c1", archive="hosp10", role=Role.ADMIN)
    add_user(accounts, "op", role=Role.OPERATOR)
    remove_role(accounts, "a1", HOSP1)
    remove_role(accounts, "a1", HOSP1)
    assert [u.user for u in list_users(accounts, HOSP1)] == ["b1"]
    assert [u.user for u in list_users(accounts, HOSP10)] == ["c1"]
    assert {u.user: u.operator for u in list_users(accounts)} == {"a1": False, "b1": False, "c1": False, "op": True}


@pytest.mark.parametrize(
    ("archive", "role", "error"),
    [
        ("nowhere", Role.VIEWER, NotFoundError),
        ("hosp1", None, BadRequestError),
        (None, Role.VIEWER, BadRequestError),
        ("hosp1", Role.OPERATOR, BadRequestError),
    ],
)
def test_a_role_needs_its_archive(
    accounts: Table, archive: str | None, role: Role | None, error: type[Exception]
) -> None:
    """And an operator needs none; nothing is left behind."""
    with pytest.raises(error):
        add_user(accounts, "thu", archive=archive, role=role)
    with pytest.raises(NotFoundError):
        get_user(accounts, "thu")


def test_roles_given_at_once_by_several_are_all_kept(accounts: Table, tmp_path: Path) -> None:
    """Changes of one user are made under the row's revision: none is lost."""
    add_user(accounts, "thu")
    archives = [f"hosp-{n}" for n in range(4)]
    for archive in archives:
        add_archive(accounts, archive)
    start = threading.Barrier(len(archives))

    def give(archive: str) -> None:
        table = SqliteTable(tmp_path / "accounts.db")
        start.wait()
        add_user(table, "thu", archive=archive, role=Role.VIEWER)
        table.close()

    threads = [threading.Thread(target=give, args=(archive,)) for archive in archives]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(get_user(accounts, "thu").roles) == archives


# Keys


def test_a_key_is_shown_once_and_stored_as_a_digest(accounts: Table) -> None:
    """256 random bits behind a prefix that scanners of leaked secrets can know."""
    made = add_key(accounts, "hosp1", Role.VIEWER, name="AI", created_by="user:thu")
    assert made.key.startswith("mpk_")
    assert len(made.key) == 4 + 43
    assert find_key(accounts, made.key) == made.about
    assert made.key not in str(accounts.query("hosp1#A").items)
    assert list_keys(accounts, HOSP1) == [made.about]
    assert list_keys(accounts, HOSP10) == []


def test_a_key_of_another_archive_cannot_be_revoked_from_here(accounts: Table) -> None:
    """Its id may be known; it stays."""
    made = add_key(accounts, "hosp1", Role.VIEWER)
    revoke_key(accounts, HOSP10, made.about.key_id)
    assert find_key(accounts, made.key) == made.about
    revoke_key(accounts, HOSP1, made.about.key_id)
    assert find_key(accounts, made.key) is None
    assert list_keys(accounts, HOSP1) == []


def test_a_key_is_no_operator_and_not_born_expired(accounts: Table, clock: Clock) -> None:
    """Nor of an archive that is not there."""
    with pytest.raises(BadRequestError):
        add_key(accounts, "hosp1", Role.OPERATOR)
    with pytest.raises(BadRequestError):
        add_key(accounts, "hosp1", Role.VIEWER, expires_at=int(clock()), clock=clock)
    with pytest.raises(NotFoundError):
        add_key(accounts, "nowhere", Role.VIEWER)


# Edges


def test_an_edge_enrols_with_its_code_and_stores_and_reads_with_its_key(
    accounts: Table, gatekeeper: Gatekeeper, clock: Clock
) -> None:
    """In its archive alone; people may type the code with spaces, in lower case, with O for 0."""
    code = add_enrolment_code(accounts, "hosp1", name="CT room", clock=clock)
    typed = code.code.lower().replace("-", " ").replace("0", "o").replace("1", "l")
    enrolment = enrol(accounts, typed, version="0.1.0", clock=clock)
    assert list_edges(accounts, HOSP1) == [enrolment.edge]
    assert enrolment.edge.name == "CT room"
    principal = gatekeeper.authenticate({"Authorization": f"Bearer {enrolment.key.key}"}, "192.0.2.1")
    assert (principal.kind, principal.id) == ("edge", enrolment.edge.edge_id)
    for action in (Action.SEARCH, Action.READ, Action.STORE):
        gatekeeper.workspace(principal, action, "hosp1")
    with pytest.raises(NotFoundError):
        gatekeeper.workspace(principal, Action.STORE, "hosp10")
    assert list_keys(accounts, HOSP1) == []  # edges are listed as edges


def test_a_code_works_once_and_ten_minutes(accounts: Table, clock: Clock) -> None:
    """Used, expired and invented codes are refused alike."""
    used = add_enrolment_code(accounts, "hosp1", clock=clock).code
    enrol(accounts, used, clock=clock)
    late = add_enrolment_code(accounts, "hosp1", clock=clock).code
    clock.advance(CODE_SECONDS)
    texts = set()
    for code in (used, late, "00000-00000-00000-00000", "", "?"):
        with pytest.raises(UnauthenticatedError) as refused:
            enrol(accounts, code, clock=clock)
        texts.add(str(refused.value))
    assert len(texts) == 1
    assert len(list_edges(accounts, HOSP1)) == 1


def test_of_many_that_use_one_code_at_once_one_wins(accounts: Table, tmp_path: Path) -> None:
    """The use is a conditional write."""
    code = add_enrolment_code(accounts, "hosp1").code
    start = threading.Barrier(6)
    won: list[str] = []

    def use() -> None:
        table = SqliteTable(tmp_path / "accounts.db")
        start.wait()
        try:
            won.append(enrol(table, code).edge.edge_id)
        except UnauthenticatedError:
            pass
        finally:
            table.close()

    threads = [threading.Thread(target=use) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [edge.edge_id for edge in list_edges(accounts, HOSP1)] == won
    assert len(won) == 1


def test_a_removed_edge_is_locked_out(accounts: Table, gatekeeper: Gatekeeper, clock: Clock) -> None:
    """Within half a minute, and removing it again is a success."""
    enrolment = enrol(accounts, add_enrolment_code(accounts, "hosp1", clock=clock).code, clock=clock)
    headers = {"Authorization": f"Bearer {enrolment.key.key}"}
    gatekeeper.authenticate(headers, "")
    remove_edge(accounts, HOSP1, enrolment.edge.edge_id)
    remove_edge(accounts, HOSP1, enrolment.edge.edge_id)
    clock.advance(30)
    with pytest.raises(UnauthenticatedError):
        gatekeeper.authenticate(headers, "")
    assert list_edges(accounts, HOSP1) == []
