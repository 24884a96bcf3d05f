"""The one place that decides, and the gatekeeper's answers to insiders and outsiders."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Literal

import pytest
from tests.support.clock import Clock

from maypacs.access.accounts import add_archive, add_user, remove_role
from maypacs.access.gatekeeper import Gatekeeper
from maypacs.access.keys import add_key, revoke_key
from maypacs.access.policy import Decision, actions_in, decide
from maypacs.access.principals import Action, Principal, Role
from maypacs.access.scoped import ScopedTable
from maypacs.access.sessions import Sessions
from maypacs.errors import ForbiddenError, NotFoundError, UnauthenticatedError
from maypacs.index.table import Table
from maypacs.uids import ArchiveId

HOSP1, HOSP10 = ArchiveId("hosp1"), ArchiveId("hosp10")
#: The whole policy once more, by hand: a change has to be made twice, on purpose.
MAY = {
    Role.VIEWER: {Action.SEARCH, Action.READ},
    Role.TECHNICIAN: {Action.SEARCH, Action.READ, Action.STORE, Action.MONITOR},
    Role.RADIOLOGIST: {Action.SEARCH, Action.READ, Action.STORE, Action.MONITOR},
    Role.ADMIN: set(Action) - {Action.OPERATE},
    Role.OPERATOR: set(Action),
}


def principal(role: Role) -> Principal:
    if role is Role.OPERATOR:
        return Principal("user", "op", operator=True)
    return Principal("user", "u", roles={HOSP1: role})


@pytest.mark.parametrize(("role", "action"), list(itertools.product(Role, Action)))
def test_each_role_may_do_what_the_table_says_and_no_more(role: Role, action: Action) -> None:
    """Every pair of role and action, in the archive of the role."""
    expected = Decision.ALLOWED if action in MAY[role] else Decision.FORBIDDEN
    assert decide(principal(role), action, HOSP1) is expected


@pytest.mark.parametrize("kind", ["key", "edge"])
def test_only_people_erase(kind: Literal["key", "edge"]) -> None:
    """What nobody can take back is no program's to decide, whatever its role."""
    program = Principal(kind, "0123456789abcdef", roles={HOSP1: Role.ADMIN})
    assert decide(program, Action.ERASE, HOSP1) is Decision.FORBIDDEN
    assert decide(program, Action.ERASE, HOSP10) is Decision.OUTSIDER
    assert Action.ERASE not in actions_in(program, HOSP1)
    assert decide(program, Action.DECIDE, HOSP1) is Decision.ALLOWED


@pytest.mark.parametrize(
    ("role", "action"), [pair for pair in itertools.product(Role, Action) if pair[0] is not Role.OPERATOR]
)
def test_a_role_in_one_archive_is_nothing_in_another(role: Role, action: Action) -> None:
    """Not even admins of hosp1 learn that there is a hosp10."""
    assert decide(principal(role), action, HOSP10) is Decision.OUTSIDER
    assert actions_in(principal(role), HOSP10) == ()


def test_the_workspace_given_out_is_scoped(gatekeeper: Gatekeeper) -> None:
    """A handler never holds a table that reaches further."""
    workspace = gatekeeper.workspace(principal(Role.VIEWER), Action.READ, "hosp1")
    assert isinstance(workspace.table, ScopedTable)
    assert workspace.archive_id == "hosp1"
    with pytest.raises(ForbiddenError):
        workspace.table.get("hosp10#S#1.2", "0")


@pytest.mark.parametrize("archive", ["hosp10", "nowhere", "", "../hosp1", "HOSP1", "hosp1#", "a" * 40])
def test_a_forbidden_archive_and_one_that_does_not_exist_look_alike(gatekeeper: Gatekeeper, archive: str) -> None:
    """Same error, same text: nothing tells an outsider which archives there are."""
    with pytest.raises(NotFoundError) as refused:
        gatekeeper.workspace(principal(Role.ADMIN), Action.READ, archive)
    assert str(refused.value) == "no such archive"


def test_a_member_with_too_small_a_role_is_told_so(gatekeeper: Gatekeeper) -> None:
    """403, since a member knows that the archive exists."""
    with pytest.raises(ForbiddenError, match="delete"):
        gatekeeper.workspace(principal(Role.VIEWER), Action.DELETE, "hosp1")


def test_a_key_of_one_archive_opens_that_archive_alone(gatekeeper: Gatekeeper, accounts: Table, clock: Clock) -> None:
    """And in its role alone."""
    secret = add_key(accounts, "hosp1", Role.TECHNICIAN, clock=clock).key
    holder = gatekeeper.authenticate({"Authorization": f"Bearer {secret}"}, "192.0.2.1")
    assert (holder.kind, dict(holder.roles), holder.operator) == ("key", {HOSP1: Role.TECHNICIAN}, False)
    assert gatekeeper.workspace(holder, Action.STORE, "hosp1").archive_id == "hosp1"
    with pytest.raises(ForbiddenError):
        gatekeeper.workspace(holder, Action.MANAGE, "hosp1")
    with pytest.raises(NotFoundError):
        gatekeeper.workspace(holder, Action.SEARCH, "hosp10")


def test_a_key_stops_at_its_expiry_to_the_second(gatekeeper: Gatekeeper, accounts: Table, clock: Clock) -> None:
    """Even while its row is remembered."""
    made = add_key(accounts, "hosp1", Role.VIEWER, expires_at=int(clock()) + 10, clock=clock)
    headers = {"authorization": f"bearer {made.key}"}
    clock.advance(9)
    assert gatekeeper.authenticate(headers, "").kind == "key"
    clock.advance(1)
    with pytest.raises(UnauthenticatedError):
        gatekeeper.authenticate(headers, "")


def test_a_revoked_key_stops_within_half_a_minute(gatekeeper: Gatekeeper, accounts: Table, clock: Clock) -> None:
    """Another process may remember it for that long, no longer."""
    made = add_key(accounts, "hosp1", Role.VIEWER, clock=clock)
    headers = {"Authorization": f"Bearer {made.key}"}
    gatekeeper.authenticate(headers, "")
    revoke_key(accounts, HOSP1, made.about.key_id)
    revoke_key(accounts, HOSP1, made.about.key_id)  # again: a success
    clock.advance(30)
    with pytest.raises(UnauthenticatedError):
        gatekeeper.authenticate(headers, "")


def test_a_role_taken_away_stops_within_half_a_minute(
    gatekeeper: Gatekeeper, accounts: Table, sessions: Sessions, clock: Clock
) -> None:
    """The access token lives on, but it never said what it may do."""
    add_user(accounts, "thu", archive="hosp1", role=Role.VIEWER, password="mật khẩu thử nghiệm", clock=clock)
    token = sessions.log_in("thu", "mật khẩu thử nghiệm", address="192.0.2.1").access_token
    headers = {"Authorization": f"Bearer {token}"}
    gatekeeper.workspace(gatekeeper.authenticate(headers, ""), Action.READ, "hosp1")
    remove_role(accounts, "thu", HOSP1)
    clock.advance(30)
    with pytest.raises(NotFoundError):
        gatekeeper.workspace(gatekeeper.authenticate(headers, ""), Action.READ, "hosp1")


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Basic dXNlcjpwYXNz",
        "Bearer mpk_",
        "Bearer mpk_" + "A" * 43,
        "Bearer a.b.c",
        "Bearer " + "x" * 5000,
        "Bearer mpk_é",
        "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ0aHUifQ.",
    ],
)
def test_what_is_no_credential_of_ours_is_refused(gatekeeper: Gatekeeper, value: str | None) -> None:
    """Absent, malformed, another scheme, unknown, absurdly long, unsigned."""
    with pytest.raises(UnauthenticatedError):
        gatekeeper.authenticate({} if value is None else {"Authorization": value}, "192.0.2.1")


def test_an_archive_that_is_new_is_found_at_once(gatekeeper: Gatekeeper, accounts: Table) -> None:
    """That it was not there a moment ago is not remembered."""
    operator = principal(Role.OPERATOR)
    with pytest.raises(NotFoundError):
        gatekeeper.workspace(operator, Action.READ, "hosp2")
    add_archive(accounts, "hosp2")
    assert gatekeeper.workspace(operator, Action.READ, "hosp2").archive_id == "hosp2"


def test_the_table_in_the_documents_says_what_the_policy_does() -> None:
    """docs/security.md is what an operator reads before giving a role away."""
    text = (Path(__file__).resolve().parents[3] / "docs" / "security.md").read_text(encoding="utf-8")
    columns = [
        {Action.SEARCH, Action.READ},
        {Action.STORE, Action.MONITOR},
        {Action.DELETE, Action.DECIDE},
        {Action.ERASE},
        {Action.MANAGE},
        {Action.OPERATE},
    ]
    written: dict[Role, set[Action]] = {}
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        name = cells[0].split(" ")[0]
        if name in set(Role) and len(cells) == len(columns) + 1:
            written[Role(name)] = set().union(*(c for c, cell in zip(columns, cells[1:], strict=True) if cell == "yes"))
    assert written == MAY
