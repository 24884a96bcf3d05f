"""Lockout of what can be guessed (passwords, enrolment codes), by account and by client address.

Rows of the accounts table: ``lock#{kind}#{id}`` / ``0`` with the failures of the running window. An attempt is counted
*before* the guess is looked at, under a condition, so that guesses in parallel cannot outrun the count; a success takes
it back. After ``free`` failures each further one doubles the wait, from ``first_wait`` to ``longest_wait`` seconds: a
stranger who knows a doctor's user name can slow the doctor down, not shut the doctor out for a day.
"""

from __future__ import annotations

from dataclasses import dataclass

from maypacs.access.accounts import Clock
from maypacs.errors import ConditionFailedError, TooManyRequestsError
from maypacs.index.table import Absent, Equals, Table

WINDOW_SECONDS = 900
_TRIES = 4


@dataclass(frozen=True, slots=True)
class Rule:
    kind: str
    free: int  #: failures in a window before the first wait
    first_wait: int = 30
    longest_wait: int = 900


#: Ten wrong passwords of one account.
ACCOUNT = Rule("account", free=10)
#: A hospital's people share one address: more of them, and the same waits.
ADDRESS = Rule("address", free=50)


class Lockout:
    def __init__(self, accounts: Table, clock: Clock) -> None:
        self._accounts = accounts
        self._clock = clock

    def attempt(self, rule: Rule, subject: str) -> None:
        """Counts an attempt. Raises TooManyRequestsError while the subject is locked: the guess must not be tried."""
        pk = _pk(rule, subject)
        for _ in range(_TRIES):
            now = int(self._clock())
            item = self._accounts.get(pk, "0")
            if item is not None and now < item["locked_until"]:
                raise TooManyRequestsError("too many failed attempts: wait", retry_after=item["locked_until"] - now)
            fresh = item is None or now - item["last"] > WINDOW_SECONDS
            failures = 1 if fresh or item is None else item["failures"] + 1
            wait = 0
            if failures > rule.free:
                wait = min(rule.longest_wait, rule.first_wait * 2 ** min(failures - rule.free - 1, 16))
            row = {
                "pk": pk,
                "sk": "0",
                "v": 1,
                "failures": failures,
                "last": now,
                "locked_until": now + wait,
                "ttl": now + 2 * WINDOW_SECONDS,
                "revision": 1 if item is None else item["revision"] + 1,
            }
            condition = Absent() if item is None else Equals("revision", item["revision"])
            try:
                self._accounts.put(row, condition=condition)
                return
            except ConditionFailedError:
                continue
        raise TooManyRequestsError("too many attempts at once: wait", retry_after=1)

    def succeeded(self, rule: Rule, subject: str, *, forget: bool) -> None:
        """Takes the attempt back; ``forget`` drops earlier failures too (an account whose password was right)."""
        pk = _pk(rule, subject)
        item = self._accounts.get(pk, "0")
        if item is None:
            return
        try:
            if forget or item["failures"] <= 1:
                self._accounts.delete(pk, "0", condition=Equals("revision", item["revision"]))
            else:
                self._accounts.update(
                    pk,
                    "0",
                    set={
                        "failures": item["failures"] - 1,
                        "locked_until": 0,
                        "revision": item["revision"] + 1,
                    },
                    condition=Equals("revision", item["revision"]),
                )
        except ConditionFailedError:
            return  # somebody else's attempt came between: one failure too many is counted, which is harmless


def _pk(rule: Rule, subject: str) -> str:
    return f"lock#{rule.kind}#{subject}"
