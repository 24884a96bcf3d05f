"""Conditional answers, compression, CORS and public URLs."""

from __future__ import annotations

import gzip

import pytest

from maypacs.http import answers, urls
from maypacs.http.answers import Answer


@pytest.mark.parametrize(
    ("header", "same"),
    [
        ('"a"', True),
        ('W/"a"', True),
        ('"b", "a"', True),
        ("*", True),
        ('"b"', False),
        (None, False),
        ("", False),
        ('"a-gzip"', True),
    ],
)
def test_if_none_match_is_a_weak_comparison_over_a_list(header: str | None, same: bool) -> None:
    """RFC 9110 13.1.2."""
    assert answers.not_modified(header, "a") is same


def test_a_client_that_has_the_answer_gets_304_without_a_body() -> None:
    """And the ETag again."""
    answer = answers.conditional(Answer(200, {"Content-Type": "x/y"}, b"body"), "tag", '"tag"')
    assert (answer.status, answer.body, answer.headers["ETag"]) == (304, b"", '"tag"')


@pytest.mark.parametrize(
    ("header", "accepted"),
    [
        ("gzip", True),
        ("br, gzip;q=0.5", True),
        ("gzip;q=0", False),
        ("*", True),
        ("identity", False),
        (None, False),
        ("gzip;q=x", False),
    ],
)
def test_gzip_is_used_only_when_the_client_says_so(header: str | None, accepted: bool) -> None:
    """RFC 9110 12.5.3."""
    assert answers.accepts_gzip(header) is accepted


def test_compression_makes_one_member() -> None:
    """Browsers stop after the first of several."""
    packed = answers.gzip_member(b"x" * 10_000)
    assert gzip.decompress(packed) == b"x" * 10_000
    assert packed.count(b"\x1f\x8b\x08") == 1


def test_cors_names_the_origin_only_when_it_is_ours() -> None:
    """An origin outside of the list gets nothing to go by."""
    assert answers.cors_headers(["*"], "https://viewer.example")["Access-Control-Allow-Origin"] == "*"
    listed = answers.cors_headers(["https://viewer.example"], "https://viewer.example")
    assert listed["Access-Control-Allow-Origin"] == "https://viewer.example"
    assert "Access-Control-Allow-Origin" not in answers.cors_headers(["https://viewer.example"], "https://evil.example")


def test_vary_is_united() -> None:
    """One of the two would otherwise be lost, and a cache would mix answers up."""
    assert answers.merge_vary({"Vary": "Accept"}, {"Vary": "Origin"})["Vary"] == "Accept, Origin"


BASES = [
    ({"host": "pacs.example"}, False, "https://pacs.example", "the Host header"),
    ({"host": "127.0.0.1:8042"}, False, "https://127.0.0.1:8042", "with its port"),
    (
        {"host": "in.side", "x-forwarded-host": "out.side", "x-forwarded-proto": "http"},
        True,
        "http://out.side",
        "our proxy's word",
    ),
    (
        {"host": "in.side", "x-forwarded-host": "evil.example"},
        False,
        "https://in.side",
        "nobody's word when it is not trusted",
    ),
    (
        {"host": "in.side", "forwarded": 'for=1;host="out.side:444";proto=https'},
        True,
        "https://out.side:444",
        "RFC 7239",
    ),
    (
        {"host": "in.side", "x-forwarded-host": "a.example, b.example"},
        True,
        "https://a.example",
        "the first of a chain",
    ),
    ({"host": "in.side", "x-forwarded-port": "8443"}, True, "https://in.side:8443", "a port of the proxy"),
    ({"host": "in.side", "x-forwarded-port": "443"}, True, "https://in.side", "but not the usual one"),
    ({"host": 'x"><script>'}, False, "", "no host that is none: URLs become relative"),
    ({"host": "h", "x-forwarded-proto": "javascript"}, True, "", "no scheme that is none"),
]


@pytest.mark.parametrize(("headers", "trust", "expected", "reason"), BASES, ids=[r for *_, r in BASES])
def test_the_base_url_is_what_the_client_sees(headers: dict[str, str], trust: bool, expected: str, reason: str) -> None:
    """Behind proxies or not."""
    assert urls.base_url(headers, trust_forwarded=trust) == expected
