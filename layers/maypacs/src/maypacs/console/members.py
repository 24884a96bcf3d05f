"""Keys and users of an archive, and its audit log: what its admins do."""

from __future__ import annotations

import dataclasses
import time

from maypacs.access import accounts, keys
from maypacs.access.principals import Action, role
from maypacs.console.request import Json, Request
from maypacs.errors import BadRequestError, ForbiddenError, NotFoundError

MAX_KEY_DAYS = 3650
_DAY = 86_400


def list_keys(request: Request) -> Json:
    _, archive_id = request.manage()
    return {"keys": [_key(key) for key in keys.list_keys(request.runtime.accounts, archive_id)]}


def add_key(request: Request) -> Json:
    request.open(Action.MANAGE)  # before anything of the request is looked at
    expires_at = None
    if request.body.get("expires_in_days") is not None:
        days = request.integer("expires_in_days")
        if not 1 <= days <= MAX_KEY_DAYS:
            raise BadRequestError(f"expires_in_days: 1 to {MAX_KEY_DAYS}, or null for never")
        expires_at = int(time.time()) + days * _DAY
    name, as_role = request.text("name"), role(request.text("role"))
    principal, archive_id = request.manage(f"key added: {as_role}")
    made = keys.add_key(
        request.runtime.accounts, archive_id, as_role, name=name, expires_at=expires_at, created_by=str(principal)
    )
    return {"key": made.key, **_key(made.about)}


def revoke_key(request: Request) -> None:
    key_id = request.parameters["key"]
    _, archive_id = request.manage(f"key revoked: {key_id[:32]}")
    keys.revoke_key(request.runtime.accounts, archive_id, key_id)
    request.runtime.gatekeeper.forget()


def _key(key: keys.ApiKey) -> Json:
    return {
        "id": key.key_id,
        "name": key.name,
        "role": key.role,
        "created_at": key.created_at,
        "created_by": key.created_by,
        "expires_at": key.expires_at,
    }


def list_users(request: Request) -> Json:
    _, archive_id = request.manage()
    listed = accounts.list_users(request.runtime.accounts, archive_id)
    return {"users": [{"user": u.user, "name": u.name, "role": u.roles[archive_id]} for u in listed]}


def add_user(request: Request) -> Json:
    request.open(Action.MANAGE)
    user, as_role = accounts.user_id(request.text("user")), role(request.text("role"))
    name, password = request.text("name", ""), request.optional_text("password")
    _, archive_id = request.manage(f"user added: {user} as {as_role}")
    added = accounts.add_user(
        request.runtime.accounts, user, archive=archive_id, role=as_role, name=name, password=password
    )
    request.runtime.gatekeeper.forget()
    return {"user": added.user, "role": as_role, "created": added.created, "password": added.password}


def remove_user(request: Request) -> None:
    """Takes the role in this archive away; the account and its other roles stay."""
    request.open(Action.MANAGE)
    user = accounts.user_id(request.parameters["user"])
    _, archive_id = request.manage(f"user removed: {user}")
    accounts.remove_role(request.runtime.accounts, user, archive_id)
    request.runtime.gatekeeper.forget()


def reset_password(request: Request) -> Json:
    request.open(Action.MANAGE)
    user = accounts.user_id(request.parameters["user"])
    principal, archive_id = request.manage(f"password reset: {user}")
    known = accounts.get_user(request.runtime.accounts, user)
    if archive_id not in known.roles:
        raise NotFoundError("no such user")
    if not principal.operator and (known.operator or set(known.roles) != {archive_id}):
        # An admin of one hospital must not take over an account that another hospital trusts.
        raise ForbiddenError("the user belongs to other archives too: an operator resets the password")
    generated = accounts.set_password(request.runtime.accounts, user)
    request.runtime.gatekeeper.forget()
    return {"password": generated}


def read_audit(request: Request) -> Json:
    _, archive_id = request.manage("audit log read")
    day = request.query.get("day") or time.strftime("%Y%m%d", time.gmtime())
    if len(day) != 8 or not day.isascii() or not day.isdigit():
        raise BadRequestError("day: YYYYMMDD is needed")
    return {"records": [dataclasses.asdict(r) for r in request.runtime.gatekeeper.audit.read(archive_id, day)]}
