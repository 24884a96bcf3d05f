"""Identifiers of C-FIND as searches of the archive, and its answers as identifiers."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from edge_forwarder.commitment import information
from edge_forwarder.dicom import values
from edge_forwarder.errors import QueryError, UnreadableError
from edge_forwarder.query_retrieve import query

FIND_P, FIND_S = "1.2.840.10008.5.1.4.1.2.1.1", "1.2.840.10008.5.1.4.1.2.2.1"
EXPLICIT_LE, IMPLICIT_LE = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"


def identifier(**keys: object) -> Dataset:
    """As it comes over the wire."""
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    for keyword, held in keys.items():
        setattr(ds, keyword, held)
    return values.decode(values.encode(ds, IMPLICIT_LE), IMPLICIT_LE)


def test_keys_become_parameters_and_what_is_empty_is_only_asked_for() -> None:
    """Ranges, wildcards, lists of UIDs and accents go as they are; universal matches and our own keys do not."""
    asked = query.question(
        identifier(
            QueryRetrieveLevel="STUDY",
            PatientName="NGUYỄN*",
            PatientID="*",
            StudyDate="20240101-20241231",
            StudyInstanceUID=["1.2", "1.3"],
            AccessionNumber="",
            RetrieveAETitle="X",
        ),
        FIND_S,
    )
    assert asked.paths == ("/studies",)
    parameters = dict(asked.parameters)
    assert parameters.pop("includefield").split(",") == ["00080020", "00080050", "00100010", "00100020", "0020000D"]
    assert parameters == {"00080020": "20240101-20241231", "00100010": "NGUYỄN*", "0020000D": "1.2,1.3"}


def test_a_query_that_names_no_character_set_is_read_as_utf_8() -> None:
    """Old workstations type Vietnamese and say nothing."""
    raw = b"\x08\x00\x52\x00\x06\0\0\0STUDY " + b"\x10\x00\x10\x00\x0a\0\0\0" + "NGUYỄN* ".encode()
    asked = query.question(values.decode(raw, IMPLICIT_LE), FIND_S)
    assert ("00100010", "NGUYỄN*") in asked.parameters


def test_lower_levels_ask_below_their_study() -> None:
    """Unique keys above the level make the path (PS3.4 C.4.1.2.1); several studies are several questions."""
    series = query.question(identifier(QueryRetrieveLevel="SERIES", StudyInstanceUID=["1.2", "1.3"]), FIND_S)
    assert series.paths == ("/studies/1.2/series", "/studies/1.3/series")
    image = query.question(
        identifier(QueryRetrieveLevel="IMAGE", StudyInstanceUID="1.2", SeriesInstanceUID="1.4", SOPInstanceUID="1.5"),
        FIND_P,
    )
    assert image.paths == ("/studies/1.2/series/1.4/instances",)
    assert dict(image.parameters)["00080018"] == "1.5"


def test_a_sequence_key_is_asked_by_its_path() -> None:
    """PS3.18 8.3.4.1: AttributeSequence.Attribute."""
    item = Dataset()
    item.RequestedProcedureID = "P1"
    asked = query.question(identifier(QueryRetrieveLevel="STUDY", RequestAttributesSequence=[item]), FIND_S)
    assert ("00400275.00401001", "P1") in asked.parameters


@pytest.mark.parametrize(
    ("keys", "model"),
    [
        ({}, FIND_S),
        ({"QueryRetrieveLevel": "NONSENSE"}, FIND_S),
        ({"QueryRetrieveLevel": "PATIENT", "PatientID": ""}, FIND_S),
        ({"QueryRetrieveLevel": "SERIES"}, FIND_P),
        ({"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "../1"}, FIND_S),
    ],
)
def test_what_is_no_identifier_of_its_model_is_refused(keys: dict[str, object], model: str) -> None:
    """PS3.4 C.4.1.2.1; nothing that is no UID gets into a path."""
    with pytest.raises(QueryError):
        query.question(identifier(**keys), model)


@given(
    elements=st.lists(
        st.tuples(
            st.sampled_from(
                [(8, 0x52), (8, 0x20), (8, 0x1199), (8, 0x1195), (0x20, 0xD), (0x20, 0xE), (0x10, 0x10), (9, 1)]
            ),
            st.sampled_from([b"CS", b"UI", b"PN", b"DA", b"UN", b"OB", b"SQ", b"IS", b"US"]),
            st.sampled_from(
                [b"", b"STUDY ", b"SERIES", b"1.2\\1.3 ", b"\xff\xfe\xe0\x01", b"*", b"\xfe\xff\0\xe0\0\0\0\0"]
            ),
        ),
        max_size=6,
    ),
    syntax=st.sampled_from([EXPLICIT_LE, IMPLICIT_LE]),
)
def test_whatever_an_identifier_holds_it_is_understood_or_refused(
    elements: list[tuple[tuple[int, int], bytes, bytes]], syntax: str
) -> None:
    """Wrong VRs, wrong lengths, bytes for text: a QueryError or an UnreadableError, and nothing else."""
    data = b""
    for (group, number), vr, value in sorted(elements):
        long = vr in (b"UN", b"OB", b"SQ")
        head = struct.pack("<2sHI", vr, 0, len(value)) if long else struct.pack("<2sH", vr, len(value))
        data += (
            struct.pack("<HH", group, number)
            + (head if syntax == EXPLICIT_LE else struct.pack("<I", len(value)))
            + value
        )
    for use in (
        lambda: query.question(values.decode(data, syntax), FIND_P),
        lambda: information.read(data, syntax),
    ):
        try:
            use()
        except (QueryError, UnreadableError):
            pass


def test_an_answer_has_every_key_that_was_asked_for_and_no_other() -> None:
    """Names in UTF-8, empty where there is no value, the unique key always."""
    asked = query.question(identifier(QueryRetrieveLevel="STUDY", PatientName="", StudyDescription=""), FIND_S)
    item = {
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Trần^Thị Mẫu"}]},
        "0020000D": {"vr": "UI", "Value": ["1.2"]},
        "00080020": {"vr": "DA", "Value": ["20240101"]},
    }
    found = values.decode(values.encode(query.answer(item, asked, "EDGE"), EXPLICIT_LE), EXPLICIT_LE)
    assert str(found.PatientName) == "Trần^Thị Mẫu"
    assert found["StudyDescription"].is_empty
    assert (found.StudyInstanceUID, found.QueryRetrieveLevel, found.RetrieveAETitle) == ("1.2", "STUDY", "EDGE")
    assert "StudyDate" not in found


def study(patient: str, name: str, instances: int) -> query.Item:
    return {
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": name}]},
        "00100020": {"vr": "LO", "Value": [patient]} if patient else {"vr": "LO"},
        "00201206": {"vr": "IS", "Value": [1]},
        "00201208": {"vr": "IS", "Value": [instances]},
    }


def test_patients_are_aggregated_and_those_without_an_id_are_not_thrown_together() -> None:
    """Two without an id and different names are two."""
    found = query.patients([study("1", "A", 3), study("", "B", 1), study("1", "A", 4), study("", "C", 1)])
    assert [p["00201200"]["Value"] for p in found] == [[2], [1], [1]]
    assert found[0]["00201204"]["Value"] == [7]
