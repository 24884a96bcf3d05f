"""Logging in and out through the console, and its manners as an HTTP service."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from tests.functional.console.conftest import PASSWORD, Ask
from tests.support.functions import call, proxy_event
from tests.support.moto_cloud import MotoCloud

from maypacs.access.principals import Role

LogIn = Callable[..., dict[str, Any]]


def test_a_session_from_login_to_logout(ask: Ask, log_in: LogIn) -> None:
    """Log in, be somebody, refresh, log out, be refused."""
    session = log_in("thu", Role.RADIOLOGIST)
    assert session["token_type"] == "Bearer"
    assert session["me"]["archives"] == [
        {
            "archive": "hosp1",
            "name": "Bệnh viện Một",
            "role": "radiologist",
            "actions": ["search", "read", "store", "monitor"],
        }
    ]
    me = ask("GET", "/api/me", key=session["access_token"])
    assert (me.status, me.json()) == (200, session["me"])
    next_session = ask("POST", "/api/token", {"refresh_token": session["refresh_token"]}).json()
    out = ask("POST", "/api/logout", {}, key=next_session["access_token"])
    assert (out.status, out.body) == (204, b"")
    assert ask("POST", "/api/token", {"refresh_token": next_session["refresh_token"]}).status == 401


def test_logging_out_everywhere_refuses_the_access_token_too(ask: Ask, log_in: LogIn) -> None:
    """In this process at once."""
    session = log_in("thu", Role.VIEWER)
    assert ask("POST", "/api/logout", {"everywhere": True}, key=session["access_token"]).status == 204
    assert ask("GET", "/api/me", key=session["access_token"]).status == 401


def test_a_wrong_password_is_401_and_many_are_429(ask: Ask, log_in: LogIn) -> None:
    """With how long to wait; the address in X-Forwarded-For changes nothing where no proxy is trusted."""
    log_in("thu", Role.VIEWER)
    for n in range(11):
        wrong = ask(
            "POST",
            "/api/login",
            {"user": "thu", "password": "wrong password 1"},
            headers={"X-Forwarded-For": f"198.51.100.{n}"},
        )
        assert wrong.status == 401
        assert wrong.json()["detail"] == "the user name or the password is not right"
    locked = ask("POST", "/api/login", {"user": "thu", "password": PASSWORD})
    assert locked.status == 429
    assert 1 <= int(locked.headers["retry-after"]) <= 30


def test_a_user_changes_the_password_and_a_key_has_none(ask: Ask, log_in: LogIn, admin: str) -> None:
    """The old password is asked for; afterwards only the new one works."""
    session = log_in("thu", Role.VIEWER)
    new = {"old": PASSWORD, "new": "một mật khẩu khác"}
    assert ask("POST", "/api/me/password", {**new, "old": "wrong password"}, key=session["access_token"]).status == 401
    assert ask("POST", "/api/me/password", {**new, "new": "short"}, key=session["access_token"]).status == 400
    assert ask("POST", "/api/me/password", new, key=session["access_token"]).status == 204
    assert ask("POST", "/api/login", {"user": "thu", "password": PASSWORD}).status == 401
    assert ask("POST", "/api/login", {"user": "thu", "password": new["new"]}).status == 200
    assert ask("POST", "/api/me/password", new, key=admin).status == 403


def test_operators_see_every_archive_and_add_more(ask: Ask, log_in: LogIn) -> None:
    """Others are told that they may not."""
    operator = log_in("op", Role.OPERATOR, None)["access_token"]
    viewer = log_in("thu", Role.VIEWER)["access_token"]
    assert ask("POST", "/api/archives", {"archive": "hosp2", "name": "Mới"}, key=viewer).status == 403
    added = ask("POST", "/api/archives", {"archive": "hosp2", "name": "Mới"}, key=operator)
    assert (added.status, added.json()) == (201, {"archive": "hosp2", "name": "Mới"})
    listed = ask("GET", "/api/archives", key=operator).json()["archives"]
    assert [a["archive"] for a in listed] == ["hosp1", "hosp10", "hosp2"]
    assert {a["role"] for a in listed} == {"operator"}
    assert [a["archive"] for a in ask("GET", "/api/archives", key=viewer).json()["archives"]] == ["hosp1"]


# Manners


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/api/nowhere", 404), ("GET", "/api", 404), ("PUT", "/api/me", 405), ("DELETE", "/api/login", 405)],
)
def test_what_is_not_there_is_said_in_problem_json(ask: Ask, method: str, path: str, status: int) -> None:
    """With CORS, so that a viewer of another origin can read it."""
    reply = ask(method, path)
    assert (reply.status, reply.json()["status"]) == (status, status)
    assert reply.headers["content-type"] == "application/problem+json"
    assert reply.headers["access-control-allow-origin"] == "*"
    assert reply.headers["cache-control"] == "no-store"
    assert status != 405 or "OPTIONS" in reply.headers["allow"]


def test_a_preflight_is_answered_without_a_credential(ask: Ask) -> None:
    """And names the methods of the very resource."""
    reply = ask("OPTIONS", "/api/archives/hosp1/keys", headers={"Origin": "https://viewer.example.org"})
    assert reply.status == 204
    assert set(reply.headers["access-control-allow-methods"].split(", ")) == {"GET", "POST", "OPTIONS"}
    assert "Authorization" in reply.headers["access-control-allow-headers"]


@pytest.mark.parametrize(
    "content_type", ["application/x-www-form-urlencoded", "text/plain", "application/json", "x", ""]
)
def test_the_type_that_a_client_gives_its_json_does_not_matter(ask: Ask, admin: str, content_type: str) -> None:
    """curl says form, a browser's beacon says text: the body is JSON or a 400. Who asks comes first all the same."""
    sent = {"Content-Type": content_type}
    made = ask("POST", "/api/archives/hosp1/enrolment-codes", {"name": "CT"}, key=admin, headers=sent)
    assert made.status == 201
    assert ask("POST", "/api/archives/hosp1/enrolment-codes", {"name": "CT"}, headers=sent).status == 401


@pytest.mark.parametrize("body", [b"{", b"[]", b'"x"', b"\xff\xfe", b"[" * 100_000])
def test_a_body_that_is_no_json_object_is_400(console: ModuleType, body: bytes) -> None:
    """Whatever its bytes."""
    reply = call(console, proxy_event("POST", "/api/login", body=body))
    assert reply.status == 400


@pytest.mark.parametrize("document", [{}, {"user": 1, "password": "x"}, {"user": None, "password": None}])
def test_members_that_are_missing_or_of_another_kind_are_400(ask: Ask, document: dict[str, Any]) -> None:
    """The answer names the member."""
    reply = ask("POST", "/api/login", document)
    assert reply.status == 400
    assert "user" in reply.json()["detail"]


def test_a_fault_says_a_support_id_and_nothing_else(
    ask: Ask, cloud: MotoCloud, console: ModuleType, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The log has the same id and where it happened, never what the error said: it may quote a patient."""
    canary = "CANARY^PATIENT"

    def broken(*_: object, **__: object) -> None:
        raise KeyError(canary)

    monkeypatch.setattr(type(console.runtime().gatekeeper), "authenticate", broken)
    reply = ask("GET", "/api/me")
    assert reply.status == 500
    (record,) = [r for r in caplog.records if r.levelname == "ERROR"]
    assert record.__dict__["support_id"] == reply.json()["support_id"]
    assert record.__dict__["at"][-1].startswith("broken:")
    assert canary not in reply.body.decode() + str(record.__dict__)


def test_the_log_of_a_request_is_its_route_and_nothing_of_what_was_sent(
    ask: Ask, admin: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A name that is searched for is in no log record, and neither is a credential."""
    caplog.set_level("INFO")
    ask("POST", "/api/archives/hosp1/search", {"text": "CANARY^PATIENT"}, key=admin)
    ask("POST", "/api/login", {"user": "thu", "password": "CANARY^PATIENT"})
    ask("GET", "/api/archives/hosp1/studies/1.2.840.99999", key=admin)
    logged = [str(record.__dict__) for record in caplog.records if record.name == "console"]
    assert len(logged) == 3
    for line in logged:
        assert "CANARY" not in line
        assert admin not in line
        assert "1.2.840.99999" not in line


def test_two_requests_one_after_the_other_do_not_mix(ask: Ask, log_in: LogIn) -> None:
    """The app is one object for all requests of a process."""
    first, second = log_in("a1", Role.VIEWER), log_in("b1", Role.VIEWER, "hosp10")
    for _ in range(3):
        assert ask("GET", "/api/me", key=first["access_token"]).json()["id"] == "a1"
        assert ask("GET", "/api/me", key=second["access_token"]).json()["id"] == "b1"
        assert ask("GET", "/api/me").status == 401
