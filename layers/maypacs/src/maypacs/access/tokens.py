"""Access tokens: JWT (RFC 7519), EdDSA over Ed25519 (RFC 8037), 15 minutes, two live keys told apart by ``kid``.

A token says who, never what they may do: roles are read from the user's row, so that taking one away works at once.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from maypacs.errors import SettingsError, UnauthenticatedError

ACCESS_SECONDS = 900
_ISSUER = "maypacs"
_ALGORITHM = "EdDSA"
#: Verified tokens that a process remembers.
_TOKENS = 1_000
_LEEWAY = 5  #: seconds that two functions' clocks may differ


@dataclass(frozen=True, slots=True)
class AccessToken:
    user: str
    epoch: int  #: of the user's row when it was issued; a larger one there revokes the token
    family: str  #: the session (refresh token family) that it belongs to
    expires_at: int  #: seconds since 1970


class TokenKeys:
    """Signs with the first key, accepts any. ``keys`` are private Ed25519 JWKs with a ``kid`` each."""

    def __init__(self, keys: Sequence[Mapping[str, str]]) -> None:
        if not keys or len({k.get("kid") for k in keys}) != len(keys) or not all(k.get("kid") for k in keys):
            raise SettingsError("token_keys must be a list of keys with a kid of its own each")
        self._keys = {k["kid"]: dict(k) for k in keys}
        self._signing_kid = keys[0]["kid"]
        # A viewer sends the same token with every frame; what was signed stays signed, expiry is looked at each time.
        self._known = functools.lru_cache(maxsize=_TOKENS)(self._signed)

    @functools.cache  # noqa: B019 - one instance a process, at most two keys
    def _private_key(self, kid: str) -> Any:
        from jwt.algorithms import OKPAlgorithm

        return OKPAlgorithm.from_jwk(self._keys[kid])

    def sign(self, token: AccessToken, *, issued_at: int) -> str:
        import jwt

        claims = {
            "iss": _ISSUER,
            "sub": token.user,
            "epoch": token.epoch,
            "sid": token.family,
            "iat": issued_at,
            "exp": token.expires_at,
        }
        kid = self._signing_kid
        return jwt.encode(claims, self._private_key(kid), algorithm=_ALGORITHM, headers={"kid": kid})

    def verify(self, text: str, *, now: float) -> AccessToken:
        """Raises UnauthenticatedError: the same for every fault, except that an expired token is called expired."""
        token = self._known(text)
        if token.expires_at + _LEEWAY <= now:
            raise UnauthenticatedError("the access token has expired")
        return token

    def _signed(self, text: str) -> AccessToken:
        """What a token says that one of our keys has signed, expired or not. Raises UnauthenticatedError."""
        import jwt

        try:
            kid = jwt.get_unverified_header(text).get("kid")
            if kid not in self._keys:
                raise UnauthenticatedError("the access token is not valid")
            claims = jwt.decode(
                text,
                self._private_key(kid).public_key(),
                algorithms=[_ALGORITHM],  # never what the token's header says
                issuer=_ISSUER,
                # The clock is ours to pass in, so expiry is checked below.
                options={"require": ["iss", "sub", "exp", "iat"], "verify_exp": False, "verify_iat": False},
            )
            return AccessToken(
                user=str(claims["sub"]),
                epoch=int(claims["epoch"]),
                family=str(claims["sid"]),
                expires_at=int(claims["exp"]),
            )
        except (jwt.PyJWTError, KeyError, ValueError, TypeError):
            raise UnauthenticatedError("the access token is not valid") from None
