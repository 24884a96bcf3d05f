"""Our tables against pydicom's: VRs of tags, transfer syntaxes, varints."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.datadict import DicomDictionary, dictionary_VR
from pydicom.uid import UID, AllTransferSyntaxes

from maypacs.dicom import transfer_syntaxes
from maypacs.dicom.dictionary import private_vr, public_vr
from maypacs.dicom.varints import VarintReader, append_varint, unzigzag, zigzag

_CHOICES = {"OB or OW": "OW", "US or SS": "US|SS", "US or SS or OW": "OW", "US or OW": "US|OW"}
#: Families of repeating groups, one of each.
_REPEATING = [
    *range(0x50020000, 0x50030000, 1),
    *range(0x60020000, 0x60030000, 1),
    *range(0x00280000, 0x00290000),
    *range(0x00203100, 0x00203200),
]


def theirs(tag: int) -> str | None:
    try:
        vr = str(dictionary_VR(tag))
    except KeyError:
        return None
    return _CHOICES.get(vr, vr)


def test_every_public_tag_has_its_vr() -> None:
    """All of PS3.6 as pydicom has it, and nothing more in the families of repeating groups."""
    tags = [t for t in (*DicomDictionary, *_REPEATING) if t >> 16 not in (0, 2, 0xFFFE) and t & 0xFFFF]
    assert {f"{t:08X}": public_vr(t) for t in tags} == {f"{t:08X}": theirs(t) for t in tags}
    assert public_vr(0x00280000) == "UL"
    assert public_vr(0x00080003) is None


@pytest.mark.parametrize(
    ("creator", "tag", "vr"),
    [
        ("GEMS_ACQU_01", 0x00191002, "SL"),
        ("GEMS_ACQU_01", 0x0019AB02, "SL"),
        ("SIEMENS CSA HEADER", 0x00291010, "OB"),
        ("Philips PET Private Group", 0x70531000, "DS"),
        ("nobody", 0x00191002, None),
        ("GEMS_ACQU_01", 0x00210102, None),
    ],
)
def test_private_tags_by_their_creator(creator: str, tag: int, vr: str | None) -> None:
    """In any block."""
    assert private_vr(creator, tag) == vr


def test_reading_a_header_needs_neither_pydicom_nor_numpy() -> None:
    """The cold start of the functions: not even for private tags in implicit VR."""
    code = (
        "import sys; from maypacs.dicom import header, frames, equality, file_meta, dictionary\n"
        "from maypacs.pack import grammar, instance_table, concatenate\n"
        "assert dictionary.private_vr('GEMS_ACQU_01', 0x00191002) == 'SL'\n"
        "print(sorted(m for m in ('pydicom', 'numpy', 'PIL', 'boto3') if m in sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_transfer_syntaxes_are_what_pydicom_says() -> None:
    """Byte order, VR, deflation and encapsulation of all it knows."""
    for uid in AllTransferSyntaxes:
        if "SMPTE" in uid.keyword:
            continue  # real-time communication (PS3.22), never in files
        ours = transfer_syntaxes.info(uid)
        assert ours.known, uid
        assert ours.explicit == (not uid.is_implicit_VR), uid
        assert ours.big_endian == (not uid.is_little_endian), uid
        if not uid.endswith((".95", ".205")):  # JPIP Deflate: PS3.5 A.7 and A.11 deflate the data set
            assert ours.deflated == uid.is_deflated, uid
        if uid != "1.2.840.10008.1.2.1.98":
            assert ours.encapsulated == uid.is_encapsulated, uid


def test_syntaxes_that_are_lossless_by_name_are_lossless_and_unknown_ones_are_suspect() -> None:
    """What compares pixels must not trust a syntax it does not know."""
    for syntax in transfer_syntaxes.known():
        name = UID(syntax.uid).name if syntax.uid in AllTransferSyntaxes else syntax.name
        if "Lossless" in name and "Near" not in name:
            assert not syntax.lossy, name
    unknown = transfer_syntaxes.info("1.2.3")
    assert not unknown.known
    assert unknown.lossy
    assert unknown.encapsulated


@given(st.lists(st.integers(0, 2**63)), st.lists(st.integers(-(2**62), 2**62)))
def test_varints_survive(values: list[int], signed: list[int]) -> None:
    """Unsigned and by zigzag."""
    out = bytearray()
    for value in (*values, *map(zigzag, signed)):
        append_varint(out, value)
    reader = VarintReader(bytes(out))
    assert reader.varints(len(values)) == values
    assert [unzigzag(v) for v in reader.varints(len(signed))] == signed
    with pytest.raises(ValueError, match="damaged"):
        reader.varint()


def test_a_varint_without_end_is_refused() -> None:
    """Ten continuation bytes and more than 64 bits."""
    with pytest.raises(ValueError, match="damaged"):
        VarintReader(b"\xff" * 11 + b"\1").varint()
