"""Logging in and out, and who one is."""

from __future__ import annotations

import time
from collections.abc import Iterable

from maypacs.access import accounts
from maypacs.access.policy import actions_in
from maypacs.access.principals import Action, Principal
from maypacs.access.sessions import Session, Sessions
from maypacs.console.request import Json, Request
from maypacs.errors import ForbiddenError
from maypacs.runtime import Runtime


def _sessions(request: Request) -> Sessions:
    return Sessions(request.runtime.accounts, request.runtime.gatekeeper.tokens, time.time)


def log_in(request: Request) -> Json:
    user, password = request.text("user"), request.text("password")
    return _pair(request.runtime, _sessions(request).log_in(user, password, address=request.address))


def refresh(request: Request) -> Json:
    return _pair(request.runtime, _sessions(request).refresh(request.text("refresh_token")))


def log_out(request: Request) -> None:
    principal = request.caller()
    token = request.runtime.gatekeeper.session_of(request.headers)
    _sessions(request).log_out(token.family)
    if request.body.get("everywhere") is True:
        _sessions(request).log_out_everywhere(principal.id)
        request.runtime.gatekeeper.forget()


def change_password(request: Request) -> None:
    principal = request.caller()
    if principal.kind != "user":
        raise ForbiddenError("only users have a password")
    old, new = request.text("old"), request.text("new")
    _sessions(request).change_password(principal.id, old, new, address=request.address)
    request.runtime.gatekeeper.forget()


def me(request: Request) -> Json:
    return _me(request.runtime, request.caller())


def list_archives(request: Request) -> Json:
    return {"archives": _archives(request.runtime, request.caller())}


def add_archive(request: Request) -> Json:
    principal = request.caller()
    request.runtime.gatekeeper.require_operator(principal)
    name = request.text("name", "")
    archive = accounts.add_archive(request.runtime.accounts, request.text("archive"), name=name)
    request.runtime.gatekeeper.audit.record(principal, Action.OPERATE, archive.archive_id, detail="archive added")
    return {"archive": archive.archive_id, "name": archive.name}


def _pair(runtime: Runtime, session: Session) -> Json:
    return {
        "access_token": session.access_token,
        "token_type": "Bearer",
        "expires_in": session.expires_in,
        "refresh_token": session.refresh_token,
        "me": _me(runtime, session.principal),
    }


def _me(runtime: Runtime, principal: Principal) -> Json:
    return {
        "kind": principal.kind,
        "id": principal.id,
        "name": principal.name,
        "operator": principal.operator,
        "archives": _archives(runtime, principal),
    }


def _archives(runtime: Runtime, principal: Principal) -> list[Json]:
    listed: Iterable[accounts.Archive | None]
    if principal.operator:
        listed = accounts.list_archives(runtime.accounts)
    else:
        listed = (accounts.find_archive(runtime.accounts, archive) for archive in sorted(principal.roles))
    return [
        {
            "archive": archive.archive_id,
            "name": archive.name,
            "role": principal.role_in(archive.archive_id),
            "actions": list(actions_in(principal, archive.archive_id)),
        }
        for archive in listed
        if archive is not None
    ]
