"""Settings of the functions: frozen, read once from a mapping that is passed in, loud when missing.

On AWS `template.yaml` sets them; on a private node the host does. A test compares the names here with the template.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from maypacs.errors import SettingsError

#: Binary bytes of an answer or a request through the gateway: 6 MB of Lambda payload, less base64 and headers.
GATEWAY_INLINE_LIMIT = 4_400_000


@dataclass(frozen=True, slots=True)
class Settings:
    index_table: str
    """MAYPACS_INDEX_TABLE: name of the DynamoDB table of the image index, or ``sqlite:/path`` of a file."""
    accounts_table: str
    """MAYPACS_ACCOUNTS_TABLE: the same for accounts, keys, grants, edges, audit."""
    archive_bucket: str
    """MAYPACS_ARCHIVE_BUCKET"""
    inbox_bucket: str
    """MAYPACS_INBOX_BUCKET"""
    secrets: str
    """MAYPACS_SECRETS: path of a JSON file (node), or the ARN of a Secrets Manager secret of the same JSON."""
    limits: Literal["gateway", "none"] = "gateway"
    """MAYPACS_LIMITS: ``gateway`` = what API Gateway and Lambda carry; ``none`` = a node: any size."""
    inline_limit: int = GATEWAY_INLINE_LIMIT
    """MAYPACS_INLINE_LIMIT: the largest answer body, in bytes, that is not a redirect to /blobs/."""
    blobs: Literal["hmac", "cloudfront"] = "cloudfront"
    """MAYPACS_BLOBS: who checks the signature of /blobs/ URLs: the node's host (hmac) or CloudFront (RSA)."""
    assembles: bool = False
    """MAYPACS_ASSEMBLES: 1 = the host behind /blobs/ streams ranges of several objects as one (archive.assembled)."""
    uploads: Literal["hmac", "presigned"] = "presigned"
    """MAYPACS_UPLOADS: upload grants point to the node's /uploads/ (hmac) or to S3 (presigned)."""
    s3_endpoint: str | None = None
    """MAYPACS_S3_ENDPOINT: another S3 than AWS's."""
    dynamodb_endpoint: str | None = None
    """MAYPACS_DYNAMODB_ENDPOINT: another DynamoDB-compatible engine."""
    trust_forwarded: bool = False
    """MAYPACS_TRUST_FORWARDED: 1 = X-Forwarded-* and Forwarded come from a proxy of ours and name the public URL."""
    cors_origins: tuple[str, ...] = ("*",)
    """MAYPACS_CORS_ORIGINS: comma list of other viewers' origins; credentials are never cookies, so * leaks nothing."""
    strict_accept: bool = False
    """MAYPACS_STRICT_ACCEPT: 1 = DICOMweb without an Accept header is 406 (PS3.18 8.7.5); 0 = it is read as ``*/*``."""
    heartbeat_seconds: int = 60
    """MAYPACS_HEARTBEAT_SECONDS: how often edges say how they are (10 to 3600): what idle edges cost."""
    compact_after_hours: int = 24
    """MAYPACS_COMPACT_AFTER_HOURS: so long a series is quiet before its many small packs become few; 0: never."""
    compact_seconds: int = 180
    """MAYPACS_COMPACT_SECONDS: how long one run of the compactor may begin something new."""

    trash_days: int = 30
    """MAYPACS_TRASH_DAYS: how long what was deleted can be restored (0 to 36500; 0: for ever)."""

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Settings:
        """Raises SettingsError that names what is missing or malformed."""

        def required(name: str) -> str:
            value = environ.get(name, "")
            if not value:
                raise SettingsError(f"the setting {name} is missing")
            return value

        def choice(name: str, allowed: tuple[str, ...], default: str) -> str:
            value = environ.get(name) or default
            if value not in allowed:
                raise SettingsError(f"the setting {name} must be one of {', '.join(allowed)}")
            return value

        def whole_number(name: str, default: int) -> int:
            value = environ.get(name) or str(default)
            if not value.isascii() or not value.isdigit():
                raise SettingsError(f"the setting {name} must be a whole number")
            return int(value)

        try:
            inline_limit = int(environ.get("MAYPACS_INLINE_LIMIT") or GATEWAY_INLINE_LIMIT)
        except ValueError:
            raise SettingsError("the setting MAYPACS_INLINE_LIMIT must be a number of bytes") from None
        try:
            heartbeat_seconds = int(environ.get("MAYPACS_HEARTBEAT_SECONDS") or 60)
        except ValueError:
            heartbeat_seconds = 0
        if not 10 <= heartbeat_seconds <= 3600:
            raise SettingsError("the setting MAYPACS_HEARTBEAT_SECONDS must be 10 to 3600")
        trash_days = environ.get("MAYPACS_TRASH_DAYS") or "30"
        if not (trash_days.isascii() and trash_days.isdigit() and int(trash_days[:9]) <= 36_500):
            raise SettingsError("the setting MAYPACS_TRASH_DAYS must be 0 to 36500 days")
        compact_after_hours = whole_number("MAYPACS_COMPACT_AFTER_HOURS", 24)
        compact_seconds = whole_number("MAYPACS_COMPACT_SECONDS", 180)
        return cls(
            index_table=required("MAYPACS_INDEX_TABLE"),
            accounts_table=required("MAYPACS_ACCOUNTS_TABLE"),
            archive_bucket=required("MAYPACS_ARCHIVE_BUCKET"),
            inbox_bucket=required("MAYPACS_INBOX_BUCKET"),
            secrets=required("MAYPACS_SECRETS"),
            limits=choice("MAYPACS_LIMITS", ("gateway", "none"), "gateway"),  # type: ignore[arg-type]
            inline_limit=inline_limit,
            blobs=choice("MAYPACS_BLOBS", ("hmac", "cloudfront"), "cloudfront"),  # type: ignore[arg-type]
            assembles=choice("MAYPACS_ASSEMBLES", ("0", "1"), "0") == "1",
            uploads=choice("MAYPACS_UPLOADS", ("hmac", "presigned"), "presigned"),  # type: ignore[arg-type]
            s3_endpoint=environ.get("MAYPACS_S3_ENDPOINT") or None,
            dynamodb_endpoint=environ.get("MAYPACS_DYNAMODB_ENDPOINT") or None,
            trust_forwarded=choice("MAYPACS_TRUST_FORWARDED", ("0", "1"), "0") == "1",
            strict_accept=choice("MAYPACS_STRICT_ACCEPT", ("0", "1"), "0") == "1",
            trash_days=int(trash_days),
            cors_origins=tuple(o.strip() for o in environ.get("MAYPACS_CORS_ORIGINS", "*").split(",") if o.strip()),
            heartbeat_seconds=heartbeat_seconds,
            compact_after_hours=compact_after_hours,
            compact_seconds=compact_seconds,
        )
