"""Text of every character set, declared well, badly or not at all."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.unit.dicom.build import element, instance, item

from maypacs.dicom.charsets import CharacterSet
from maypacs.dicom.header import parse_header

VIETNAMESE = "Nguyễn^Văn Thử"


def name_in(charset: str | None, raw: bytes) -> tuple[str, tuple[str, ...]]:
    early = element(0x00080005, "CS", charset.encode()) if charset is not None else b""
    header = parse_header(instance(early=early, middle=element(0x00100010, "PN", raw)))
    name = header.dataset["00100010"]["Value"][0]
    return "=".join(name.values()), header.warnings


@pytest.mark.parametrize(
    ("charset", "codec", "text"),
    [
        ("ISO_IR 100", "latin_1", "Äneas^Rüdiger"),
        ("ISO_IR 101", "iso8859_2", "Łukasz^Żak"),
        ("ISO_IR 109", "iso8859_3", "Ĥa^Ĝo"),
        ("ISO_IR 110", "iso8859_4", "Ģirts^Ņina"),
        ("ISO_IR 126", "iso8859_7", "Διονυσιος"),
        ("ISO_IR 127", "iso8859_6", "قباني^لنزار"),
        ("ISO_IR 138", "iso8859_8", "שרון^דבורה"),
        ("ISO_IR 144", "iso8859_5", "Люкceмбypг"),
        ("ISO_IR 148", "iso8859_9", "Çavuşoğlu"),
        ("ISO_IR 166", "iso8859_11", "นามสกุล"),
        ("ISO_IR 203", "iso8859_15", "Œuvre€"),
        ("ISO_IR 13", "shift_jis", "ﾔﾏﾀﾞ^ﾀﾛｳ"),
        ("ISO_IR 192", "utf_8", VIETNAMESE),
        ("GB18030", "gb18030", "王^小东"),
        ("GBK", "gbk", "王^小东"),
        ("\\ISO 2022 IR 87", "iso2022_jp", "山田^太郎"),
    ],
)
def test_declared_character_sets(charset: str, codec: str, text: str) -> None:
    """One of each, without a warning."""
    assert name_in(charset, text.encode(codec)) == (text, ())


def test_escape_sequences_switch_sets_within_a_name() -> None:
    """PS3.5 annexes H and I: kanji and hangul groups beside ASCII; ``^`` and ``=`` end the reach of a G1 set."""
    japanese = b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B"
    assert name_in("\\ISO 2022 IR 87", japanese) == ("Yamada^Tarou=山田^太郎=やまだ^たろう", ())
    korean = b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab^\x1b$)C\xb1\xe6\xb5\xbf"
    assert name_in("\\ISO 2022 IR 149", korean) == ("Hong^Gildong=洪^吉洞=홍^길동", ())
    assert name_in("ISO 2022 IR 87", japanese)[0] == "Yamada^Tarou=山田^太郎=やまだ^たろう", (
        "the empty first value forgotten"
    )
    chinese = b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab"
    assert name_in("\\ISO 2022 IR 58", chinese) == ("Zhang^XiaoDong=张^小东", ())


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("charset", [None, "", "ISO_IR 6", "ISO_IR 100", "ISO 2022 IR 6"])
def test_vietnamese_in_undeclared_utf8_just_works(charset: str | None, form: str) -> None:
    """The commonest fault of hospital systems here: UTF-8 bytes, and (0008,0005) absent or Latin-1. With a warning."""
    text = unicodedata.normalize(form, VIETNAMESE)  # type: ignore[arg-type]
    name, warnings = name_in(charset, text.encode())
    assert name == text
    assert warnings


@pytest.mark.parametrize("text", ["Müller^Jörg", "Nuñez^Íñigo", "Lefèvre^Hélène", "Ångström", "ÀÉÎÕÜ^ß", "¡¿£§"])
def test_latin_1_that_is_latin_1_stays_so(text: str) -> None:
    """No real name in Latin-1 is valid UTF-8."""
    assert name_in("ISO_IR 100", text.encode("latin_1")) == (text, ())


def test_cyrillic_that_looks_like_utf8_is_believed_to_be_cyrillic() -> None:
    """Two capitals in ISO 8859-5 can be one UTF-8 character: only Latin-1 and the default are doubted."""
    raw = "ТВ".encode("iso8859_5")
    assert raw.decode("utf-8")
    assert name_in("ISO_IR 144", raw) == ("ТВ", ())


@pytest.mark.parametrize("spelling", ["ISO-IR 192", "ISO_IR_192", "iso_ir 192", "ISOIR192", "UTF-8", "utf8"])
def test_misspelt_terms_are_recognised(spelling: str) -> None:
    """By their letters and digits, with a warning."""
    name, warnings = name_in(spelling, VIETNAMESE.encode())
    assert name == VIETNAMESE
    assert warnings


def test_an_unknown_term_is_no_reason_to_lose_an_image() -> None:
    """UTF-8 if it is, else Latin-1; with a warning."""
    assert name_in("KLINGON", VIETNAMESE.encode())[0] == VIETNAMESE
    assert name_in("KLINGON", b"J\xf6rg")[0] == "Jörg"
    assert name_in("KLINGON", b"J\xf6rg")[1]


def test_bytes_that_do_not_fit_their_set_have_replacement_characters_and_a_warning() -> None:
    """Latin-1 bytes under ISO_IR 192."""
    name, warnings = name_in("ISO_IR 192", b"J\xf6rg")
    assert name == "J�rg"
    assert warnings


def test_an_item_may_have_a_set_of_its_own_and_others_inherit() -> None:
    """(0008,0005) within an item holds for it and what is below; the next item has the data set's again."""
    own = element(0x00080005, "CS", b"ISO_IR 144") + element(0x00100010, "PN", "Люк".encode("iso8859_5"))
    inherited = element(0x00100010, "PN", VIETNAMESE.encode())
    late = element(0x00081140, "SQ", item(own) + item(inherited))
    early = element(0x00080005, "CS", b"ISO_IR 192")
    items = parse_header(instance(early=early, late=late)).dataset["00081140"]["Value"]
    assert items[0]["00100010"]["Value"] == [{"Alphabetic": "Люк"}]
    assert items[1]["00100010"]["Value"] == [{"Alphabetic": VIETNAMESE}]


def test_backslashes_within_multibyte_characters_are_no_separators() -> None:
    """GB18030's second bytes may be 0x5C."""
    text = "\u4e57"  # encodes to 0x81 0x5C in GBK
    raw = text.encode("gb18030")
    if b"\\" not in raw:
        raw = b"\x81\x5c"
        text = raw.decode("gb18030")
    early = element(0x00080005, "CS", b"GB18030")
    found = parse_header(instance(early=early, middle=element(0x00081030, "LO", raw + b"\\x"))).dataset["00081030"]
    assert found["Value"] == [text, "x"]


TERMS = ["", "ISO_IR 100", "ISO 2022 IR 87", "ISO 2022 IR 149", "GB18030", "ISO_IR 13", "?", "ISO_IR 192"]


@given(st.binary(max_size=40), st.lists(st.sampled_from(TERMS), max_size=3))
def test_any_bytes_become_text_that_utf8_can_carry(raw: bytes, terms: list[str]) -> None:
    """Never an exception, never a lone surrogate."""
    CharacterSet(terms, {}).decode(raw).encode("utf-8")
