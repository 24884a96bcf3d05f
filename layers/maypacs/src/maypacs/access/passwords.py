"""Passwords: argon2id with m = 19 MiB, t = 2, p = 1, and one verification's worth of work for unknown users too."""

from __future__ import annotations

import secrets
import unicodedata
from functools import cache
from typing import TYPE_CHECKING

from maypacs.errors import BadRequestError

if TYPE_CHECKING:
    from argon2 import PasswordHasher

MIN_LENGTH = 12
MAX_LENGTH = 256  #: characters; bounds the work that an unauthenticated caller can ask for
#: No 0/O, 1/l/I: a generated password is read aloud and typed on a phone.
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
#: A hash of a password nobody has, of the same parameters: unknown users cost the same time as known ones.
_DUMMY = "$argon2id$v=19$m=19456,t=2,p=1$SEKiwqkln+CP/3REhZsjHg$UMj/ti+J0gZImwOKrdklovQGLPAx5ILa798me1zGUcA"


@cache
def _hasher() -> PasswordHasher:
    from argon2 import PasswordHasher, Type

    return PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, hash_len=32, salt_len=16, type=Type.ID)


def _prepared(password: str) -> str:
    # RFC 8265 4.2 (OpaqueString): NFC, so that a name typed on macOS (decomposed) and on Windows is the same password.
    return unicodedata.normalize("NFC", password)


def new_password() -> str:
    """Four groups of five characters: 20 of 31, 99 bits."""
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(5)) for _ in range(4))


def hash_password(password: str) -> str:
    """The PHC string. Raises BadRequestError when the password is too short or absurdly long."""
    if not MIN_LENGTH <= len(_prepared(password)) <= MAX_LENGTH:
        raise BadRequestError(f"a password has {MIN_LENGTH} to {MAX_LENGTH} characters")
    return _hasher().hash(_prepared(password))


def verify_password(hashed: str | None, password: str) -> bool:
    """Whether it is the password; ``hashed`` is None for a user who does not exist (the work is done all the same)."""
    from argon2.exceptions import InvalidHashError, VerificationError

    if len(password) > MAX_LENGTH:
        return False
    try:
        _hasher().verify(hashed or _DUMMY, _prepared(password))
    except (VerificationError, InvalidHashError):
        return False
    return hashed is not None


def needs_rehash(hashed: str) -> bool:
    """Whether it was made with other parameters than today's."""
    return _hasher().check_needs_rehash(hashed)
