"""Access tokens that a process has seen before: what is remembered, and what is looked at each time."""

from __future__ import annotations

import pytest

from maypacs.access.secrets import new_secrets
from maypacs.access.tokens import AccessToken, TokenKeys
from maypacs.errors import UnauthenticatedError

TOKEN = AccessToken("reader", 3, "family", expires_at=1_000)


def test_a_remembered_token_expires_all_the_same() -> None:
    """The signature is remembered, never the permission."""
    keys = TokenKeys(new_secrets()["token_keys"])
    text = keys.sign(TOKEN, issued_at=100)
    assert keys.verify(text, now=900) == keys.verify(text, now=901) == TOKEN
    with pytest.raises(UnauthenticatedError, match="expired"):
        keys.verify(text, now=1_006)


def test_a_token_of_another_server_is_refused_each_time() -> None:
    """What failed is not remembered as anything."""
    ours, theirs = (TokenKeys(new_secrets()["token_keys"]) for _ in range(2))
    text = theirs.sign(TOKEN, issued_at=100)
    assert theirs.verify(text, now=900) == TOKEN
    for _ in range(2):
        with pytest.raises(UnauthenticatedError):
            ours.verify(text, now=900)
