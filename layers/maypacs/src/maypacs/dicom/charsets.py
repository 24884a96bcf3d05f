"""Specific Character Set (0008,0005) to Unicode: PS3.3 C.12.1.1.2, PS3.5 6.1.2, and what devices do instead.

- Unknown or misspelt terms are matched without their punctuation ("ISO-IR 100", "ISO2022IR87", "utf8").
- Bytes that are valid UTF-8 (with at least one multi-byte character) while the set is absent, ISO_IR 6 or ISO_IR 100
  are taken as UTF-8, with a warning: read as Latin-1 each such pair is a capital A with an accent followed by a
  control or sign, which no name has. Other single-byte sets are believed: in Cyrillic two capitals can look like UTF-8.
- Nothing here raises: what cannot be decoded has replacement characters and a warning.
"""

from __future__ import annotations

from collections.abc import Sequence

_ESC = b"\x1b"

#: Squashed term (no spaces, dashes, underscores; upper case) -> Python codec.
_CODECS = {
    "": "latin_1",
    "ISOIR6": "latin_1",
    "ISO2022IR6": "latin_1",
    "ISOIR13": "shift_jis",
    "ISO2022IR13": "shift_jis",
    "ISO2022IR87": "iso2022_jp",
    "ISO2022IR159": "iso2022_jp_2",
    "ISO2022IR149": "euc_kr",
    "ISO2022IR58": "gb2312",
    "ISO202258": "gb2312",
    "ISOIR192": "utf_8",
    "UTF8": "utf_8",
    "GB18030": "gb18030",
    "GBK": "gbk",
    "ISO2022GBK": "gbk",
    "ISOIR58": "gb2312",
    "ISOIR149": "euc_kr",
    "ISOIR87": "iso2022_jp",
    "ISOIR203": "iso8859_15",
    "ISO2022IR203": "iso8859_15",
    "ISO88591": "latin_1",
    "LATIN1": "latin_1",
}
for _ir, _codec in {
    "100": "latin_1",
    "101": "iso8859_2",
    "109": "iso8859_3",
    "110": "iso8859_4",
    "126": "iso8859_7",
    "127": "iso8859_6",
    "138": "iso8859_8",
    "144": "iso8859_5",
    "148": "iso8859_9",
    "166": "iso8859_11",
}.items():
    _CODECS[f"ISOIR{_ir}"] = _CODECS[f"ISO2022IR{_ir}"] = _codec

#: Escape sequence -> codec (PS3.3 Tables C.12-3 and C.12-4).
_ESCAPES = {
    b"\x1b(B": "latin_1",
    b"\x1b-A": "latin_1",
    b"\x1b)I": "shift_jis",
    b"\x1b(J": "shift_jis",
    b"\x1b$B": "iso2022_jp",
    b"\x1b-B": "iso8859_2",
    b"\x1b-C": "iso8859_3",
    b"\x1b-D": "iso8859_4",
    b"\x1b-F": "iso8859_7",
    b"\x1b-G": "iso8859_6",
    b"\x1b-H": "iso8859_8",
    b"\x1b-L": "iso8859_5",
    b"\x1b-M": "iso8859_9",
    b"\x1b-T": "iso8859_11",
    b"\x1b-b": "iso8859_15",
    b"\x1b$)C": "euc_kr",
    b"\x1b$(D": "iso2022_jp_2",
    b"\x1b$)A": "gb2312",
}
#: These Python codecs eat the escape sequence themselves and keep state up to the end of the fragment.
_STATEFUL = {"iso2022_jp", "iso2022_jp_2"}
_GUESS_UTF8 = {"", "ISOIR6", "ISO2022IR6", "ISOIR100", "LATIN1", "ISO88591"}


def _squash(term: str) -> str:
    return "".join(c for c in term.upper() if c.isalnum())


class CharacterSet:
    """The decoder of one value of (0008,0005). ``warnings`` collects, once each, what had to be guessed."""

    __slots__ = ("_codecs", "_escapes", "_guess_utf8", "_warnings")

    def __init__(self, terms: Sequence[str], warnings: dict[str, None]) -> None:
        self._warnings = warnings
        codecs: list[str] = []
        squashed = [_squash(term) for term in terms] or [""]
        for term, squash in zip(terms, squashed, strict=False):
            codec = _CODECS.get(squash)
            if codec is None:
                warnings["an unknown Specific Character Set was read as UTF-8 or Latin-1"] = None
                squashed[0] = ""
            elif squash and not term.startswith(("ISO_IR ", "ISO 2022 ", "GB")):
                warnings["a misspelt Specific Character Set was recognised"] = None
            codecs.append(codec or "latin_1")
        self._codecs = tuple(codecs) or ("latin_1",)
        self._escapes = len(self._codecs) > 1 or squashed[0].startswith("ISO2022") or self._codecs[0] in _STATEFUL
        self._guess_utf8 = len(self._codecs) == 1 and squashed[0] in _GUESS_UTF8

    def decode(self, raw: bytes, *, delimiters: bytes = b"\r\n\t\f\\") -> str:
        """Text of a value. ``delimiters`` end the reach of an escape sequence (PS3.5 6.1.2.5.3; PN adds ^ and =)."""
        if self._escapes and _ESC in raw:
            return self._decode_escaped(raw, delimiters)
        if raw.isascii():
            return raw.decode("ascii")
        if self._guess_utf8:
            try:
                text = raw.decode("utf-8")
            except UnicodeDecodeError:
                return raw.decode("latin_1")
            self._warnings["text that is UTF-8 does not say so in Specific Character Set"] = None
            return text
        return self._strict(raw, self._codecs[0])

    def _strict(self, raw: bytes, codec: str) -> str:
        try:
            return raw.decode(codec)
        except UnicodeDecodeError:
            self._warnings["text does not fit its Specific Character Set: replacement characters"] = None
            return raw.decode(codec, errors="replace")

    def _decode_escaped(self, raw: bytes, delimiters: bytes) -> str:
        first, *escaped = raw.split(_ESC)
        text = [self._strict(first, self._codecs[0])] if first else []
        for fragment in escaped:
            text.append(self._decode_fragment(_ESC + fragment, delimiters))
        return "".join(text)

    def _decode_fragment(self, fragment: bytes, delimiters: bytes) -> str:
        size = 4 if fragment[1:3] in (b"$(", b"$)") else 3
        codec = _ESCAPES.get(fragment[:size])
        if codec is None or (codec not in self._codecs and codec != "latin_1"):
            self._warnings["an escape sequence of an undeclared character set was met"] = None
            return self._strict(fragment, self._codecs[0])
        if codec in _STATEFUL:
            return self._strict(fragment, codec)
        body = fragment[size:]
        end = min((at for d in delimiters if (at := body.find(d)) >= 0), default=len(body))
        return self._strict(body[:end], codec) + (self._strict(body[end:], self._codecs[0]) if end < len(body) else "")
