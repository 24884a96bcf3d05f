"""Passwords, lockouts, access tokens and the rotation of refresh tokens."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import jwt
import pytest
from tests.support.clock import Clock

from maypacs.access.accounts import add_user, get_user, set_password, user_item
from maypacs.access.gatekeeper import Gatekeeper
from maypacs.access.lockout import ACCOUNT, ADDRESS
from maypacs.access.passwords import hash_password, needs_rehash, new_password, verify_password
from maypacs.access.principals import Role
from maypacs.access.secrets import new_secrets, rotate_token_keys
from maypacs.access.sessions import IDLE_SECONDS, LONGEST_SECONDS, REPEAT_SECONDS, Sessions
from maypacs.access.tokens import ACCESS_SECONDS, AccessToken, TokenKeys
from maypacs.errors import BadRequestError, SettingsError, TooManyRequestsError, UnauthenticatedError
from maypacs.index.table import Table

PASSWORD = "mật khẩu thử nghiệm"
HOME = "192.0.2.1"


@pytest.fixture
def user(accounts: Table) -> str:
    return add_user(accounts, "thu", archive="hosp1", role=Role.VIEWER, password=PASSWORD).user


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


# Passwords


def test_a_password_is_kept_as_argon2id_with_the_agreed_cost() -> None:
    """m = 19 MiB, t = 2, p = 1; salted, so the same password twice gives two hashes."""
    first, second = hash_password(PASSWORD), hash_password(PASSWORD)
    assert first.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert first != second
    assert verify_password(first, PASSWORD)
    assert not verify_password(first, PASSWORD + ".")


def test_a_password_typed_decomposed_is_the_same_password() -> None:
    """Vietnamese letters come composed from one keyboard and decomposed from another."""
    assert verify_password(hash_password("mật khẩu của tôi"), "mật khẩu của tôi")


@pytest.mark.parametrize("password", ["", "short", "x" * 11, "x" * 257])
def test_short_and_absurdly_long_passwords_are_not_taken(password: str) -> None:
    """Twelve characters at least; an upper bound, since hashing costs us, not the sender."""
    with pytest.raises(BadRequestError):
        hash_password(password)


def test_an_unknown_user_costs_a_verification_and_is_never_let_in() -> None:
    """The dummy hash is a real one of today's parameters (else the work would differ)."""
    from maypacs.access import passwords

    assert not needs_rehash(passwords._DUMMY)
    assert not verify_password(None, PASSWORD)


def test_generated_passwords_are_long_and_never_the_same() -> None:
    """Four groups of five letters that cannot be misread."""
    made = {new_password() for _ in range(50)}
    assert len(made) == 50
    assert all(len(p) == 23 and not set(p) & set("01lio") for p in made)


# Logging in


def test_the_right_password_gives_a_token_that_the_gatekeeper_takes(
    sessions: Sessions, gatekeeper: Gatekeeper, user: str
) -> None:
    """Upper case in the user name is forgiven."""
    session = sessions.log_in(" THU", PASSWORD, address=HOME)
    principal = gatekeeper.authenticate(bearer(session.access_token), HOME)
    assert (principal.kind, principal.id, principal.roles) == ("user", "thu", {"hosp1": Role.VIEWER})
    assert session.expires_in == ACCESS_SECONDS


@pytest.mark.parametrize(
    ("name", "password"), [("thu", "wrong password 1"), ("nobody", PASSWORD), ("!", PASSWORD), ("thu", "x" * 1000)]
)
def test_a_wrong_password_and_an_unknown_user_are_refused_alike(
    sessions: Sessions, user: str, name: str, password: str
) -> None:
    """Same error, same words."""
    with pytest.raises(UnauthenticatedError) as refused:
        sessions.log_in(name, password, address=HOME)
    assert str(refused.value) == "the user name or the password is not right"


def fail(sessions: Sessions, user: str, times: int, address: str = HOME) -> None:
    for _ in range(times):
        with pytest.raises(UnauthenticatedError):
            sessions.log_in(user, "wrong password 1", address=address)


def test_an_account_is_locked_after_ten_failures_even_for_the_right_password(
    sessions: Sessions, user: str, clock: Clock
) -> None:
    """From any address; it opens again by itself, and a success forgets the failures."""
    fail(sessions, user, ACCOUNT.free + 1)
    with pytest.raises(TooManyRequestsError) as locked:
        sessions.log_in(user, PASSWORD, address="198.51.100.7")
    clock.advance(locked.value.retry_after)
    sessions.log_in(user, PASSWORD, address=HOME)
    fail(sessions, user, ACCOUNT.free)
    sessions.log_in(user, PASSWORD, address=HOME)


def test_each_further_failure_doubles_the_wait_up_to_a_quarter_of_an_hour(
    sessions: Sessions, user: str, clock: Clock
) -> None:
    """So that a stranger slows a doctor down but never shuts the doctor out for a day."""
    fail(sessions, user, ACCOUNT.free)
    waits = []
    for _ in range(8):
        fail(sessions, user, 1)
        with pytest.raises(TooManyRequestsError) as locked:
            sessions.log_in(user, PASSWORD, address=HOME)
        waits.append(locked.value.retry_after)
        clock.advance(locked.value.retry_after)
    assert waits == [30, 60, 120, 240, 480, 900, 900, 900]


def test_an_unknown_user_is_locked_like_a_known_one(sessions: Sessions) -> None:
    """Else the lock would tell who exists."""
    fail(sessions, "nobody", ACCOUNT.free + 1)
    with pytest.raises(TooManyRequestsError):
        sessions.log_in("nobody", PASSWORD, address=HOME)


def test_an_address_that_tries_many_accounts_is_locked_and_others_are_not(sessions: Sessions, user: str) -> None:
    """Password spraying stays below every account's own limit."""
    for n in range(ADDRESS.free + 1):
        fail(sessions, f"nobody{n}", 1)
    with pytest.raises(TooManyRequestsError):
        sessions.log_in(user, PASSWORD, address=HOME)
    sessions.log_in(user, PASSWORD, address="198.51.100.7")


def test_people_of_one_address_who_log_in_do_not_lock_it(sessions: Sessions, user: str) -> None:
    """A hospital's hundred successes a morning are no failures."""
    for _ in range(ADDRESS.free + 5):
        sessions.log_in(user, PASSWORD, address=HOME)


def test_old_failures_are_forgotten(sessions: Sessions, user: str, clock: Clock) -> None:
    """A quarter of an hour after the last one."""
    fail(sessions, user, ACCOUNT.free)
    clock.advance(901)
    fail(sessions, user, ACCOUNT.free)
    sessions.log_in(user, PASSWORD, address=HOME)


def test_a_hash_of_older_parameters_is_made_anew_at_the_next_login(
    sessions: Sessions, accounts: Table, user: str
) -> None:
    """The only time that the password is known."""
    from argon2 import PasswordHasher

    weak = PasswordHasher(time_cost=1, memory_cost=8192, parallelism=1).hash(PASSWORD)
    accounts.update("user#thu", "0", set={"password": weak})
    sessions.log_in(user, PASSWORD, address=HOME)
    item = user_item(accounts, user)
    assert item is not None
    assert not needs_rehash(item["password"])
    sessions.log_in(user, PASSWORD, address=HOME)


# Access tokens


def token_at(clock: Clock, **changes: Any) -> AccessToken:
    values: dict[str, Any] = {"user": "thu", "epoch": 0, "family": "f" * 32, "expires_at": int(clock()) + 900}
    return AccessToken(**{**values, **changes})


def test_a_token_ends_after_fifteen_minutes(
    sessions: Sessions, gatekeeper: Gatekeeper, user: str, clock: Clock
) -> None:
    """Give or take the clocks' five seconds."""
    headers = bearer(sessions.log_in(user, PASSWORD, address=HOME).access_token)
    clock.advance(ACCESS_SECONDS - 1)
    gatekeeper.authenticate(headers, HOME)
    clock.advance(6)
    with pytest.raises(UnauthenticatedError, match="expired"):
        gatekeeper.authenticate(headers, HOME)


def test_both_live_keys_are_accepted_and_the_first_signs(clock: Clock) -> None:
    """A rotation ends nobody's session."""
    before = new_secrets()
    after = rotate_token_keys(before)
    old = TokenKeys(before["token_keys"]).sign(token_at(clock), issued_at=int(clock()))
    new = TokenKeys(after["token_keys"]).sign(token_at(clock), issued_at=int(clock()))
    assert (
        jwt.get_unverified_header(new)["kid"] == after["token_keys"][0]["kid"] != jwt.get_unverified_header(old)["kid"]
    )
    verifier = TokenKeys(after["token_keys"])
    assert verifier.verify(old, now=clock()) == verifier.verify(new, now=clock()) == token_at(clock)
    twice = TokenKeys(rotate_token_keys(after)["token_keys"])
    with pytest.raises(UnauthenticatedError):
        twice.verify(old, now=clock())


def _encoded(part: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def test_a_forged_token_is_refused(clock: Clock) -> None:
    """Changed claims, `alg: none`, the public key used as an HMAC secret, another's key under our kid."""
    document = new_secrets()["token_keys"]
    keys = TokenKeys(document)
    good = keys.sign(token_at(clock), issued_at=int(clock()))
    header, claims, signature = good.split(".")
    payload = json.loads(base64.urlsafe_b64decode(claims + "=="))
    kid = document[0]["kid"]
    stranger = TokenKeys([{**new_secrets()["token_keys"][0], "kid": kid}])
    forged = [
        f"{header}.{_encoded({**payload, 'sub': 'other'})}.{signature}",
        f"{_encoded({'alg': 'none', 'kid': kid})}.{claims}.",
        jwt.encode(payload, document[0]["x"].ljust(43, "="), algorithm="HS256", headers={"kid": kid}),
        stranger.sign(token_at(clock), issued_at=int(clock())),
        good[:-4] + "AAAA",
        f"{_encoded({'alg': 'EdDSA', 'kid': ['x']})}.{claims}.{signature}",
    ]
    for text in forged:
        with pytest.raises(UnauthenticatedError):
            keys.verify(text, now=clock())


@pytest.mark.parametrize("missing", ["iss", "sub", "exp", "iat", "epoch", "sid"])
def test_a_token_of_ours_without_a_claim_is_refused(clock: Clock, missing: str) -> None:
    """A signature is not enough: tokens for other purposes must not pass."""
    from jwt.algorithms import OKPAlgorithm

    key = new_secrets()["token_keys"][0]
    claims = {"iss": "maypacs", "sub": "thu", "exp": int(clock()) + 9, "iat": int(clock()), "epoch": 0, "sid": "f"}
    del claims[missing]
    text = jwt.encode(claims, OKPAlgorithm.from_jwk(key), algorithm="EdDSA", headers={"kid": key["kid"]})
    with pytest.raises(UnauthenticatedError):
        TokenKeys([key]).verify(text, now=clock())


@pytest.mark.parametrize("keys", [[], [{"kty": "OKP"}], [{"kid": "a"}, {"kid": "a"}]])
def test_token_keys_without_names_of_their_own_are_a_fault_of_the_settings(keys: list[dict[str, str]]) -> None:
    """Loud at the first use, not a token that nobody can verify."""
    with pytest.raises(SettingsError):
        TokenKeys(keys)


def test_a_higher_epoch_ends_every_session_within_half_a_minute(
    sessions: Sessions, gatekeeper: Gatekeeper, accounts: Table, user: str, clock: Clock
) -> None:
    """Access and refresh tokens alike."""
    session = sessions.log_in(user, PASSWORD, address=HOME)
    gatekeeper.authenticate(bearer(session.access_token), HOME)
    sessions.log_out_everywhere(user)
    clock.advance(30)
    with pytest.raises(UnauthenticatedError):
        gatekeeper.authenticate(bearer(session.access_token), HOME)
    with pytest.raises(UnauthenticatedError):
        sessions.refresh(session.refresh_token)
    again = sessions.log_in(user, PASSWORD, address=HOME)
    gatekeeper.authenticate(bearer(again.access_token), HOME)


def test_a_changed_password_ends_every_session_and_the_old_password(
    sessions: Sessions, accounts: Table, user: str
) -> None:
    """Whoever knew the old one is out."""
    session = sessions.log_in(user, PASSWORD, address=HOME)
    with pytest.raises(UnauthenticatedError):
        sessions.change_password(user, "not the old one", "một mật khẩu mới", address=HOME)
    sessions.change_password(user, PASSWORD, "một mật khẩu mới", address=HOME)
    with pytest.raises(UnauthenticatedError):
        sessions.refresh(session.refresh_token)
    with pytest.raises(UnauthenticatedError):
        sessions.log_in(user, PASSWORD, address=HOME)
    generated = set_password(accounts, user)
    assert generated is not None
    sessions.log_in(user, generated, address=HOME)
    assert get_user(accounts, user).epoch == 2


# Refresh tokens


def test_each_refresh_token_gives_the_next(sessions: Sessions, gatekeeper: Gatekeeper, user: str, clock: Clock) -> None:
    """For as long as the session is used."""
    token = sessions.log_in(user, PASSWORD, address=HOME).refresh_token
    seen = {token}
    for _ in range(5):
        clock.advance(ACCESS_SECONDS)
        session = sessions.refresh(token)
        gatekeeper.authenticate(bearer(session.access_token), HOME)
        token = session.refresh_token
        seen.add(token)
    assert len(seen) == 6


def test_a_repeat_within_half_a_minute_gets_the_same_successor(sessions: Sessions, user: str, clock: Clock) -> None:
    """Two tabs at once, or an answer that was lost: neither logs a doctor out."""
    token = sessions.log_in(user, PASSWORD, address=HOME).refresh_token
    first = sessions.refresh(token)
    clock.advance(REPEAT_SECONDS)
    again = sessions.refresh(token)
    assert again.refresh_token == first.refresh_token
    sessions.refresh(first.refresh_token)


def test_a_copied_token_used_later_ends_the_session_for_both(sessions: Sessions, user: str, clock: Clock) -> None:
    """Whoever comes second, thief or owner, ends it: the owner logs in again, the thief cannot."""
    stolen = sessions.log_in(user, PASSWORD, address=HOME).refresh_token
    owners = sessions.refresh(stolen).refresh_token
    clock.advance(REPEAT_SECONDS + 1)
    with pytest.raises(UnauthenticatedError):
        sessions.refresh(stolen)
    with pytest.raises(UnauthenticatedError):
        sessions.refresh(owners)


def test_the_token_before_the_last_is_refused_at_any_time(sessions: Sessions, user: str) -> None:
    """The half minute is for the last step alone."""
    first = sessions.log_in(user, PASSWORD, address=HOME).refresh_token
    second = sessions.refresh(first).refresh_token
    third = sessions.refresh(second).refresh_token
    with pytest.raises(UnauthenticatedError):
        sessions.refresh(first)
    with pytest.raises(UnauthenticatedError):
        sessions.refresh(third)


def test_a_session_ends_when_it_is_idle_and_when_it_is_old(sessions: Sessions, user: str, clock: Clock) -> None:
    """Twelve hours unused; a week in any case."""
    idle = sessions.log_in(user, PASSWORD, address=HOME).refresh_token
    clock.advance(IDLE_SECONDS + 1)
    with pytest.raises(UnauthenticatedError):
        sessions.refresh(idle)
    token = sessions.log_in(user, PASSWORD, address=HOME).refresh_token
    for _ in range(LONGEST_SECONDS // IDLE_SECONDS):
        clock.advance(IDLE_SECONDS)
        token = sessions.refresh(token).refresh_token
    clock.advance(1)
    with pytest.raises(UnauthenticatedError):
        sessions.refresh(token)


def test_logging_out_ends_this_session_and_no_other(sessions: Sessions, gatekeeper: Gatekeeper, user: str) -> None:
    """The phone stays logged in when the PC is not."""
    pc, phone = (sessions.log_in(user, PASSWORD, address=HOME) for _ in range(2))
    sessions.log_out(gatekeeper.session_of(bearer(pc.access_token)).family)
    with pytest.raises(UnauthenticatedError):
        sessions.refresh(pc.refresh_token)
    sessions.refresh(phone.refresh_token)


@pytest.mark.parametrize(
    "text", ["", "mpr_", "mpr_x.y", "mpr_" + "0" * 32 + "." + "A" * 43, "mpk_" + "A" * 43, "é" * 80]
)
def test_what_is_no_refresh_token_is_refused(sessions: Sessions, text: str) -> None:
    """Malformed or unknown."""
    with pytest.raises(UnauthenticatedError):
        sessions.refresh(text)


def test_no_secret_is_stored_as_it_is(sessions: Sessions, accounts: Table, user: str) -> None:
    """Neither the password nor the refresh token is in the rows that stand for them."""
    session = sessions.log_in(user, PASSWORD, address=HOME)
    family, _, secret = session.refresh_token.removeprefix("mpr_").partition(".")
    rows = [accounts.get(f"session#{family}", "0"), user_item(accounts, user)]
    assert all(row is not None for row in rows)
    assert secret not in str(rows)
    assert PASSWORD not in str(rows)
