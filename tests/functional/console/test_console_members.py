"""Keys, users and the audit log of an archive, through the console."""

from __future__ import annotations

import time

import pytest
from tests.functional.console.conftest import PASSWORD, Ask
from tests.support.moto_cloud import MotoCloud

from maypacs.access.accounts import add_user
from maypacs.access.principals import Role


def test_a_key_is_made_listed_used_and_revoked(ask: Ask, admin: str) -> None:
    """It is shown in the first answer alone."""
    made = ask("POST", "/api/archives/hosp1/keys", {"name": "AI", "role": "viewer", "expires_in_days": 30}, key=admin)
    assert made.status == 201
    document = made.json()
    secret = document.pop("key")
    assert abs(document["expires_at"] - time.time() - 30 * 86_400) < 60
    assert document["created_by"].startswith("key:")
    assert document in ask("GET", "/api/archives/hosp1/keys", key=admin).json()["keys"]
    assert secret not in ask("GET", "/api/archives/hosp1/keys", key=admin).body.decode()
    assert ask("GET", "/api/me", key=secret).json()["archives"][0]["role"] == "viewer"
    assert ask("DELETE", f"/api/archives/hosp1/keys/{document['id']}", key=admin).status == 204
    assert ask("GET", "/api/me", key=secret).status == 401


@pytest.mark.parametrize(
    "document",
    [
        {"name": "x", "role": "operator"},
        {"name": "x", "role": "king"},
        {"role": "viewer"},
        {"name": "x", "role": "viewer", "expires_in_days": 0},
        {"name": "x", "role": "viewer", "expires_in_days": "30"},
        {"name": "x" * 201, "role": "viewer"},
    ],
)
def test_a_key_that_makes_no_sense_is_400(ask: Ask, admin: str, document: dict[str, object]) -> None:
    """And no key is made."""
    assert ask("POST", "/api/archives/hosp1/keys", document, key=admin).status == 400
    assert len(ask("GET", "/api/archives/hosp1/keys", key=admin).json()["keys"]) == 1


def test_a_user_is_added_with_a_generated_password_and_removed(ask: Ask, admin: str) -> None:
    """The password is shown once; the removed user may still log in, and sees nothing."""
    added = ask("POST", "/api/archives/hosp1/users", {"user": "Thu", "role": "viewer", "name": "BS Thử"}, key=admin)
    assert (added.status, added.json()["user"], added.json()["created"]) == (201, "thu", True)
    login = {"user": "thu", "password": added.json()["password"]}
    assert ask("POST", "/api/login", login).json()["me"]["archives"][0]["role"] == "viewer"
    users = ask("GET", "/api/archives/hosp1/users", key=admin).json()["users"]
    assert users == [{"user": "thu", "name": "BS Thử", "role": "viewer"}]
    assert ask("DELETE", "/api/archives/hosp1/users/thu", key=admin).status == 204
    assert ask("GET", "/api/archives/hosp1/users", key=admin).json()["users"] == []
    assert ask("POST", "/api/login", login).json()["me"]["archives"] == []


def test_an_admin_makes_no_operators(ask: Ask, admin: str) -> None:
    """Operators come from the command line."""
    assert ask("POST", "/api/archives/hosp1/users", {"user": "thu", "role": "operator"}, key=admin).status == 400


@pytest.mark.parametrize(("second", "status"), [(None, 200), ("hosp10", 403), ("operator", 403)])
def test_an_admin_resets_passwords_of_the_own_archives_users_alone(
    ask: Ask, cloud: MotoCloud, admin: str, second: str | None, status: int
) -> None:
    """An account that another hospital trusts, or an operator's, is not to be taken over."""
    add_user(cloud.runtime.accounts, "thu", archive="hosp1", role=Role.VIEWER, password=PASSWORD)
    if second == "operator":
        add_user(cloud.runtime.accounts, "thu", role=Role.OPERATOR)
    elif second:
        add_user(cloud.runtime.accounts, "thu", archive=second, role=Role.VIEWER)
    reset = ask("POST", "/api/archives/hosp1/users/thu/password", {}, key=admin)
    assert reset.status == status
    old = ask("POST", "/api/login", {"user": "thu", "password": PASSWORD})
    assert old.status == (401 if status == 200 else 200)


def test_a_user_of_another_archive_is_not_found_here(ask: Ask, cloud: MotoCloud, admin: str) -> None:
    """Neither reset nor listed."""
    add_user(cloud.runtime.accounts, "thu", archive="hosp10", role=Role.VIEWER, password=PASSWORD)
    assert ask("POST", "/api/archives/hosp1/users/thu/password", {}, key=admin).status == 404
    assert ask("GET", "/api/archives/hosp1/users", key=admin).json()["users"] == []


def test_what_admins_do_is_in_the_audit_log(ask: Ask, admin: str) -> None:
    """Who, what, when; no secret."""
    made = ask("POST", "/api/archives/hosp1/keys", {"name": "AI", "role": "viewer"}, key=admin).json()
    records = ask("GET", "/api/archives/hosp1/audit", key=admin).json()["records"]
    assert any(r["action"] == "manage" and r["detail"] == "key added: viewer" for r in records)
    assert made["key"] not in str(records)
    assert ask("GET", "/api/archives/hosp1/audit", key=admin, query={"day": "x"}).status == 400
