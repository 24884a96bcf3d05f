"""Sessions of users: log in, refresh, log out.

A session is a refresh token family, row ``session#{family}`` / ``0``. Each refresh token works once: its successor is
derived from it (HMAC with a secret of the family), so that a repeat within half a minute, from a second tab or after a
lost answer, gets the *same* successor. A token used after that was copied by somebody: the family ends.
Sources: RFC 6749 10.4, RFC 9700 4.14.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from hashlib import sha256

from maypacs.access.accounts import Clock, revoke_sessions, set_password, to_user, user_id, user_item
from maypacs.access.keys import digest
from maypacs.access.lockout import ACCOUNT, ADDRESS, Lockout
from maypacs.access.passwords import hash_password, needs_rehash, verify_password
from maypacs.access.principals import Principal
from maypacs.access.tokens import ACCESS_SECONDS, AccessToken, TokenKeys
from maypacs.errors import BadRequestError, ConditionFailedError, UnauthenticatedError
from maypacs.index.table import Equals, Table

PREFIX = "mpr_"
IDLE_SECONDS = 12 * 3600  #: a session unused that long has ended
LONGEST_SECONDS = 7 * 24 * 3600  #: and so has one this old
REPEAT_SECONDS = 30
_SECRET_BYTES = 32


@dataclass(frozen=True, slots=True)
class Session:
    access_token: str
    expires_in: int
    refresh_token: str
    principal: Principal


class Sessions:
    def __init__(self, accounts: Table, tokens: TokenKeys, clock: Clock) -> None:
        self._accounts = accounts
        self._tokens = tokens
        self._clock = clock
        self._lockout = Lockout(accounts, clock)

    def log_in(self, user: str, password: str, *, address: str) -> Session:
        """Raises UnauthenticatedError, the same for an unknown user and a wrong password, and TooManyRequestsError."""
        refused = UnauthenticatedError("the user name or the password is not right")
        self._lockout.attempt(ADDRESS, address)
        try:
            user = user_id(user)
        except BadRequestError:
            verify_password(None, password)
            raise refused from None
        self._lockout.attempt(ACCOUNT, user)
        item = user_item(self._accounts, user)
        if not verify_password(None if item is None else item["password"], password) or item is None:
            raise refused
        self._lockout.succeeded(ACCOUNT, user, forget=True)
        self._lockout.succeeded(ADDRESS, address, forget=False)
        if needs_rehash(item["password"]):
            self._rehash(user, item["revision"], item["password"], password)
        now = int(self._clock())
        family, secret = secrets.token_hex(16), secrets.token_urlsafe(_SECRET_BYTES)
        self._accounts.put(
            {
                "pk": f"session#{family}",
                "sk": "0",
                "v": 1,
                "user": user,
                "epoch": item["epoch"],
                "current": digest(secret),
                "previous": "",
                "rotated_at": now,
                "started_at": now,
                "derive": secrets.token_hex(_SECRET_BYTES),
                "ttl": now + LONGEST_SECONDS,
            }
        )
        return self._session(family, secret, user, now)

    def refresh(self, refresh_token: str) -> Session:
        """The next pair of tokens. Raises UnauthenticatedError; a token used after its successor ends the session."""
        refused = UnauthenticatedError("the session has ended: log in again")
        family, secret = _parts(refresh_token, refused)
        for _ in range(2):
            item = self._accounts.get(f"session#{family}", "0")
            now = int(self._clock())
            if item is None:
                raise refused
            if now - item["rotated_at"] > IDLE_SECONDS or now - item["started_at"] > LONGEST_SECONDS:
                self._end(family)
                raise refused
            user = user_item(self._accounts, item["user"])
            if user is None or user["epoch"] != item["epoch"]:
                self._end(family)
                raise refused
            presented = digest(secret)
            successor = hmac.new(bytes.fromhex(item["derive"]), secret.encode("utf-8"), sha256).hexdigest()
            if hmac.compare_digest(presented, item["previous"]):
                if now - item["rotated_at"] <= REPEAT_SECONDS:
                    return self._session(family, successor, item["user"], now)
            elif hmac.compare_digest(presented, item["current"]):
                try:
                    self._accounts.update(
                        f"session#{family}",
                        "0",
                        set={"current": digest(successor), "previous": presented, "rotated_at": now},
                        condition=Equals("current", presented),
                    )
                except ConditionFailedError:
                    continue  # another tab was first: this is a repeat
                return self._session(family, successor, item["user"], now)
            break
        self._end(family)
        raise refused

    def log_out(self, family: str) -> None:
        """Ends the session: its refresh tokens work no more, its access token at most 15 minutes. Idempotent."""
        self._end(family)

    def log_out_everywhere(self, user: str) -> None:
        """Ends every session of the user, access tokens included, within a minute."""
        revoke_sessions(self._accounts, user)

    def change_password(self, user: str, old: str, new: str, *, address: str) -> None:
        """Ends every session too. Raises UnauthenticatedError (old), BadRequestError (new), lockouts as `log_in`."""
        self._lockout.attempt(ADDRESS, address)
        self._lockout.attempt(ACCOUNT, user)
        item = user_item(self._accounts, user)
        if item is None or not verify_password(item["password"], old):
            raise UnauthenticatedError("the old password is not right")
        self._lockout.succeeded(ACCOUNT, user, forget=True)
        self._lockout.succeeded(ADDRESS, address, forget=False)
        set_password(self._accounts, user, new)

    def _rehash(self, user: str, revision: int, old_hash: str, password: str) -> None:
        try:
            self._accounts.update(
                f"user#{user}",
                "0",
                set={"password": hash_password(password), "revision": revision + 1},
                condition=Equals("password", old_hash),
            )
        except (ConditionFailedError, BadRequestError):
            return  # changed meanwhile, or shorter than today's rule: it stays as it is

    def _end(self, family: str) -> None:
        self._accounts.delete(f"session#{family}", "0")

    def _session(self, family: str, secret: str, user: str, now: int) -> Session:
        known = to_user(item) if (item := user_item(self._accounts, user)) else None
        if known is None:
            raise UnauthenticatedError("the session has ended: log in again")
        token = AccessToken(user, known.epoch, family, now + ACCESS_SECONDS)
        return Session(
            access_token=self._tokens.sign(token, issued_at=now),
            expires_in=ACCESS_SECONDS,
            refresh_token=f"{PREFIX}{family}.{secret}",
            principal=Principal("user", known.user, known.name, known.roles, known.operator),
        )


def _parts(refresh_token: str, refused: UnauthenticatedError) -> tuple[str, str]:
    family, dot, secret = refresh_token.removeprefix(PREFIX).partition(".")
    sound = refresh_token.startswith(PREFIX) and dot and len(family) == 32 and 40 <= len(secret) <= 64
    if not sound or not family.isalnum() or not refresh_token.isascii():
        raise refused
    return family, secret
