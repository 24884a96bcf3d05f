"""What a use case answers: status, headers, bytes; and the rule of what is inline and what is a redirect.

Sources: protocols §7; PS3.18 8.4 (response headers); RFC 9110 15.4.8 (307), 13.1.2 (If-None-Match).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import orjson

from maypacs.http.problems import plain_problem, problem

DICOM_JSON = "application/dicom+json"

#: Headers that viewers of other origins may read.
EXPOSED = "Location, Content-Location, Warning, ETag, Content-Range, Content-Length, Retry-After, Allow"
_ALLOWED_HEADERS = "Authorization, Accept, Content-Type, If-None-Match, Range, Accept-Charset"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    figures: Mapping[str, float] = field(default_factory=dict)  #: for the log: what it cost; numbers, no patient data

    def with_headers(self, extra: Mapping[str, str]) -> Answer:
        return replace(self, headers={**self.headers, **extra})


def json_answer(
    document: Any, *, status: int = 200, content_type: str = DICOM_JSON, headers: Mapping[str, str] | None = None
) -> Answer:
    return Answer(status, {"Content-Type": content_type, **(headers or {})}, orjson.dumps(document))


def problem_answer(error: BaseException) -> Answer:
    status, headers, document = problem(error)
    return Answer(status, headers, orjson.dumps(document))


def plain_problem_answer(status: int, detail: str, headers: Mapping[str, str] | None = None) -> Answer:
    code, own, document = plain_problem(status, detail)
    return Answer(code, {**own, **(headers or {})}, orjson.dumps(document))


def redirect(location: str, *, etag: str | None = None) -> Answer:
    """307 to a signed URL. `location` is a path: a relative Location keeps the client on our origin."""
    headers = {"Location": location, "Vary": "Accept, Authorization", "Cache-Control": "private, max-age=60"}
    if etag:
        headers["ETag"] = quoted(etag)
    return Answer(307, headers)


def quoted(etag: str) -> str:
    return f'"{etag}"'


def not_modified(if_none_match: str | None, etag: str) -> bool:
    """Whether If-None-Match (RFC 9110 13.1.2, weak comparison, a list or *) names this ETag (given without quotes)."""
    if not if_none_match:
        return False
    names = {name.strip().removeprefix("W/").strip('"') for name in if_none_match.split(",")}
    # An intermediary that compresses may have appended its mark to the tag.
    return "*" in names or etag in names or etag in {n.removesuffix("-gzip") for n in names}


def conditional(answer: Answer, etag: str, if_none_match: str | None) -> Answer:
    """The answer with its ETag, or 304 when the client has it already."""
    headers = {
        "ETag": quoted(etag),
        "Cache-Control": "private, no-cache",
        "Vary": "Accept, Accept-Encoding, Authorization",
    }
    if answer.status == 200 and not_modified(if_none_match, etag):
        return Answer(304, headers)
    return answer.with_headers(headers)


def gzip_member(body: bytes, level: int = 1) -> bytes:
    """One gzip member: browsers silently stop after the first of several."""
    compressor = zlib.compressobj(level, zlib.DEFLATED, 31)
    return compressor.compress(body) + compressor.flush()


def accepts_gzip(accept_encoding: str | None) -> bool:
    """Whether Accept-Encoding (RFC 9110 12.5.3) allows gzip; absent means no: some clients say nothing and cannot."""
    weights: dict[str, float] = {}
    for part in (accept_encoding or "").split(","):
        coding, _, rest = part.strip().partition(";")
        try:
            weight = float(rest.strip().removeprefix("q=")) if rest.strip() else 1.0
        except ValueError:
            weight = 0.0
        weights[coding.strip().lower()] = weight
    return weights.get("gzip", weights.get("x-gzip", weights.get("*", 0.0))) > 0


def cors_headers(origins: Sequence[str], origin: str | None) -> dict[str, str]:
    """CORS for every answer, errors and redirects included. Credentials are never cookies, so `*` leaks nothing.

    An origin outside the list gets no header at all. `null` is what a browser sends after a cross-origin redirect.
    """
    if "*" in origins:
        return {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": EXPOSED}
    if origin and origin in origins:
        return {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": EXPOSED, "Vary": "Origin"}
    return {"Vary": "Origin"}


def preflight(methods: Sequence[str]) -> Answer:
    """The answer to a CORS preflight (needs no credential); the origin's own headers are added as to every answer."""
    return Answer(
        204,
        {
            "Allow": ", ".join(methods),
            "Access-Control-Allow-Methods": ", ".join(methods),
            "Access-Control-Allow-Headers": _ALLOWED_HEADERS,
            "Access-Control-Max-Age": "7200",
        },
    )


def merge_vary(headers: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """Both sets of headers; the names in `Vary` are united instead of replaced."""
    merged = {**headers, **more}
    if "Vary" in headers and "Vary" in more:
        names = [n.strip() for n in f"{headers['Vary']}, {more['Vary']}".split(",")]
        merged["Vary"] = ", ".join(dict.fromkeys(names))
    return merged
