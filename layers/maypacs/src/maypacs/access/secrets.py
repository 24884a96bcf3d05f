"""The secrets document of one installation, made once: DATA/secrets.json (mode 0600) or a Secrets Manager secret.

| member       | what                                                                                         |
|--------------|----------------------------------------------------------------------------------------------|
| `token_keys` | two Ed25519 keys (JWK, RFC 8037): the first signs access tokens, both are accepted           |
| `blob_key`   | hex: HMAC of /blobs/ URLs (node)                                                             |
| `upload_key` | hex: HMAC of /uploads/ URLs (node)                                                           |
| `pack_key`   | hex: keys the boundaries of packs. It never changes: old and new packs could not be joined   |
| `cursor_key` | hex: HMAC of the dashboard's search cursors                                                  |

On AWS the operator adds the signer of /blobs/ URLs: `cloudfront_key_id`, `cloudfront_private_key` (PEM, RSA-2048) and
`cloudfront_origin` (https://host of the distribution).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

_KEY_BYTES = 32


def new_token_key() -> dict[str, str]:
    """A private Ed25519 JWK whose ``kid`` is random, so that it names nothing about the installation."""
    import base64

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    def encode(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")

    key = Ed25519PrivateKey.generate()
    return {
        "kty": "OKP",
        "crv": "Ed25519",
        "kid": secrets.token_hex(4),
        "d": encode(key.private_bytes_raw()),
        "x": encode(key.public_key().public_bytes_raw()),
    }


def new_secrets() -> dict[str, Any]:
    """A whole document for a new installation."""
    return {
        "v": 1,
        "token_keys": [new_token_key(), new_token_key()],
        "blob_key": secrets.token_hex(_KEY_BYTES),
        "upload_key": secrets.token_hex(_KEY_BYTES),
        "pack_key": secrets.token_hex(_KEY_BYTES),
        "cursor_key": secrets.token_hex(_KEY_BYTES),
    }


def rotate_token_keys(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with a new signing key first and the one that signed until now second.

    Tokens signed with the key that drops out stop working; it signed nothing since the rotation before this one, so
    two rotations at least 15 minutes apart (an access token's life) cost nobody a session.
    """
    return {**document, "token_keys": [new_token_key(), document["token_keys"][0]]}


def _main() -> None:
    import json
    import sys

    if sys.argv[1:] == ["--rotate-tokens"]:
        document = rotate_token_keys(json.load(sys.stdin))
    elif not sys.argv[1:]:
        document = new_secrets()
    else:
        sys.exit("python -m maypacs.access.secrets [--rotate-tokens < old.json]")
    json.dump(document, sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    _main()
