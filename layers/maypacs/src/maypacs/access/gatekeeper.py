"""The gatekeeper: from a request's headers to a principal, and from a principal to the one archive it may touch."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from maypacs.access.accounts import find_archive, to_user, user_item
from maypacs.access.audit import AuditLog
from maypacs.access.keys import PREFIX, find_key
from maypacs.access.policy import Decision, decide
from maypacs.access.principals import Action, Principal, Role
from maypacs.access.scoped import ScopedTable
from maypacs.access.tokens import AccessToken, TokenKeys
from maypacs.errors import BadRequestError, ForbiddenError, NotFoundError, UnauthenticatedError
from maypacs.index.table import Table
from maypacs.uids import ArchiveId, Uid, archive_id
from maypacs.workspace import Workspace

#: How long a row that says who somebody is may be remembered: what is revoked stops within a minute.
REMEMBER_SECONDS = 30
_MEMO_LIMIT = 5_000
_LONGEST_TOKEN = 4_096


class Gatekeeper:
    def __init__(
        self,
        accounts: Table,
        token_keys: Sequence[Mapping[str, str]],
        open_workspace: Callable[[ArchiveId], Workspace],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.accounts = accounts
        self.tokens = TokenKeys(token_keys)
        self.audit = AuditLog(accounts, clock=clock)
        self._open_workspace = open_workspace
        self._clock = clock
        self._memo: dict[tuple[str, str], tuple[float, Any]] = {}

    def authenticate(self, headers: Mapping[str, str], source_ip: str) -> Principal:
        """Who sends ``Authorization: Bearer <access token or API key>``. Raises UnauthenticatedError.

        ``source_ip`` is the client's address (`addresses.client_address`); it is there for rules on addresses.
        """
        del source_ip
        credential = bearer(headers)
        if credential.startswith(PREFIX):
            return self._key_principal(credential)
        token = self.tokens.verify(credential, now=self._clock())
        return self._user_principal(token.user, token.epoch)

    def session_of(self, headers: Mapping[str, str]) -> AccessToken:
        """The access token itself, for logging out. Raises UnauthenticatedError, for API keys too."""
        return self.tokens.verify(bearer(headers), now=self._clock())

    def workspace(self, principal: Principal, action: Action, archive: str, study: Uid | None = None) -> Workspace:
        """The archive, scoped, if the principal may do that in it.

        Raises ForbiddenError to members whose role is too small, and NotFoundError to everybody else: an archive that
        does not exist and one that is nobody's business look alike.
        """
        try:
            wanted = archive_id(archive)
        except BadRequestError:
            raise NotFoundError("no such archive") from None
        decision = decide(principal, action, wanted, study)
        if decision is Decision.OUTSIDER or not self._archive_exists(wanted):
            raise NotFoundError("no such archive")
        if decision is Decision.FORBIDDEN:
            raise ForbiddenError(f"your role in this archive does not allow: {action}")
        unscoped = self._open_workspace(wanted)
        return dataclasses.replace(unscoped, table=ScopedTable(unscoped.table, wanted))

    def require_operator(self, principal: Principal) -> None:
        """For what concerns no one archive. Raises ForbiddenError."""
        if not principal.operator:
            raise ForbiddenError("only operators may do that")

    def forget(self) -> None:
        """Drops what is remembered of users, keys and archives in this process; after a change made here."""
        self._memo.clear()

    def _remembered(self, kind: str, key: str, load: Callable[[], Any]) -> Any:
        now = self._clock()
        known = self._memo.get((kind, key))
        if known is not None and now - known[0] < REMEMBER_SECONDS:
            return known[1]
        value = load()
        if value is not None:  # what is not there may appear at once
            if len(self._memo) >= _MEMO_LIMIT:
                self._memo.clear()
            self._memo[kind, key] = (now, value)
        return value

    def _archive_exists(self, archive: ArchiveId) -> bool:
        return self._remembered("archive", archive, lambda: find_archive(self.accounts, archive)) is not None

    def _user_principal(self, user: str, epoch: int) -> Principal:
        item = self._remembered("user", user, lambda: user_item(self.accounts, user))
        if item is None or item["epoch"] != epoch:
            raise UnauthenticatedError("the access token is not valid")
        known = to_user(item)
        return Principal("user", known.user, known.name, known.roles, known.operator)

    def _key_principal(self, secret: str) -> Principal:
        key = self._remembered("key", secret, lambda: find_key(self.accounts, secret))
        if key is None or not key.is_live(self._clock()):
            raise UnauthenticatedError("the API key is not valid")
        role = key.role if key.role is not Role.OPERATOR else Role.ADMIN
        return Principal(key.kind, key.key_id, key.name, {key.archive_id: role})


def bearer(headers: Mapping[str, str]) -> str:
    """The credential of ``Authorization: Bearer`` (RFC 6750 2.1). Raises UnauthenticatedError."""
    value = next((v for k, v in headers.items() if k.lower() == "authorization"), "")
    scheme, _, credential = value.strip().partition(" ")
    credential = credential.strip()
    if scheme.lower() != "bearer" or not credential or len(credential) > _LONGEST_TOKEN or not credential.isascii():
        raise UnauthenticatedError("a credential is needed: Authorization: Bearer …")
    return credential
