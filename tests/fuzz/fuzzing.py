"""A kept corpus, and changes to it: what found a fault once, or was made to, is where the search for others begins.

`corpus/{kind}/{name}`: a few hundred bytes each. To keep what a run has found, put it there under a name that says it.
"""

from __future__ import annotations

import os
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

CORPUS = Path(__file__).parent / "corpus"
#: MAYPACS_FUZZ=50 searches fifty times as long.
FUZZ = settings(
    max_examples=120 * int(os.environ.get("MAYPACS_FUZZ", "1")), deadline=None, suppress_health_check=list(HealthCheck)
)
#: What the grammars here are made of, and what breaks others.
_TOKENS = (
    *(b"\r\n", b"\n", b"\0", b"--", b"--B", b"--B--", b":", b";", b'"', b"\\", b"=", b"&", b"%00", b"%2F", b"%0d%0a"),
    *(
        b"..",
        b"../",
        b"*",
        b"?",
        b",",
        b"\xff",
        b"\xff\xff\xff\xff",
        b"\xfe\xff\x00\xe0",
        b"\xfe\xff\x0d\xe0",
        b"[",
        b"]",
    ),
    *(
        b"{",
        b"}",
        b"null",
        b"1e999",
        b"-1",
        b"99999999999999999999",
        b"</",
        b"<!",
        b"&#0;",
        b"\xe2\x80\xae",
        b"\xed\xa0\x80",
    ),
)


def corpus(kind: str) -> list[bytes]:
    """The kept inputs of one parser, by name."""
    return [path.read_bytes() for path in sorted((CORPUS / kind).iterdir())]


@st.composite
def changed(draw: st.DrawFn, kind: str) -> bytes:
    """One of the corpus with up to six bytes or tokens changed, put in, cut out or repeated."""
    data = bytearray(draw(st.sampled_from(corpus(kind))))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(data)))
        length = draw(st.sampled_from([0, 1, 2, 4, 8, 64]))
        piece = draw(st.one_of(st.sampled_from(_TOKENS), st.binary(max_size=4), st.just(bytes(data[at : at + length]))))
        data[at : at + draw(st.sampled_from([0, len(piece), length]))] = piece
    return bytes(data)
