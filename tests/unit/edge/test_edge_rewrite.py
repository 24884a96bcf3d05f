"""Explicit VR rewritten to Implicit VR."""

from __future__ import annotations

from io import BytesIO

import pydicom
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian
from tests.conftest import sample_files

from edge_forwarder.dicom import rewrite, values
from edge_forwarder.errors import UnreadableError

EXPLICIT_LE, IMPLICIT_LE = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"


def rewritten(data: bytes) -> bytes:
    return b"".join(rewrite.implicit(BytesIO(data)))


def test_every_explicit_sample_says_the_same_in_implicit() -> None:
    """Compared by pydicom, which wrote neither; private values by their bytes."""
    compared = 0
    for path in sample_files():
        data = path.read_bytes()
        try:
            ds = pydicom.dcmread(BytesIO(data))
            if ds.file_meta.TransferSyntaxUID != ExplicitVRLittleEndian:
                continue
            start = 144 + int.from_bytes(data[140:144], "little")
            theirs = values.decode(data[start:], EXPLICIT_LE)
        except Exception:
            continue
        try:
            ours = values.decode(rewritten(data[start:]), IMPLICIT_LE)
        except UnreadableError:
            continue
        compared += 1
        for element in theirs:
            if element.tag.element == 0:
                continue
            other = ours[element.tag]
            if other.VR == element.VR and element.VR != "SQ":
                assert other.value == element.value, (path.name, element.tag)
            elif other.VR == "SQ":
                assert len(other.value) == len(element.value or ()), (path.name, element.tag)
    assert compared > 20


def test_nested_sequences_of_both_kinds_of_length_are_rewritten() -> None:
    """Defined lengths inside undefined ones and the other way; empty sequences; UN that holds a sequence."""
    inner = Dataset()
    inner.CodeValue, inner.CodeMeaning, inner.LongCodeValue = "1", "Thử", "2" * 20
    middle = Dataset()
    middle.ConceptNameCodeSequence = [inner, inner]
    middle.ContentSequence = []
    outer = Dataset()
    outer.SpecificCharacterSet = "ISO_IR 192"
    outer.ContentSequence = [middle, Dataset()]
    outer.PatientID = "THU-0001"
    for undefined_outer, undefined_inner in ((0, 0), (0, 1), (1, 0), (1, 1)):
        for sequence, undefined in (
            (outer.ContentSequence, undefined_outer),
            (middle.ConceptNameCodeSequence, undefined_inner),
        ):
            _lengths(sequence, undefined=bool(undefined))
        data = values.encode(outer, EXPLICIT_LE)
        assert values.decode(rewritten(data), IMPLICIT_LE) == outer
    unknown = b"\x09\x00\x01\x10UN\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    unknown += b"\x08\x00\x00\x01\x02\0\0\x001 " + b"\xfe\xff\x0d\xe0\0\0\0\0" + b"\xfe\xff\xdd\xe0\0\0\0\0"
    assert rewritten(unknown) == unknown[:4] + unknown[8:]


def _lengths(sequence: Sequence, *, undefined: bool) -> None:
    sequence.is_undefined_length = undefined
    for item in sequence:
        item.is_undefined_length_sequence_item = undefined


@given(st.binary(max_size=200))
def test_noise_is_refused_and_never_more_than_that(data: bytes) -> None:
    """Nothing but UnreadableError, and it ends."""
    try:
        rewritten(data)
    except UnreadableError:
        pass
