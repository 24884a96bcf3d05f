"""The Native DICOM Model (PS3.19 A.1): there and back, against dcmtk's dcm2xml, and hostile documents."""

from __future__ import annotations

import re
import shutil
import subprocess
import unicodedata
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import sample_files, sample_id

from maypacs.dicom.header import parse_header
from maypacs.dicom.native_model import NAMESPACE, from_xml, to_xml
from maypacs.errors import BadRequestError, MayPACSError

NS = f"{{{NAMESPACE}}}"
PRIVATE = {"00090010": {"vr": "LO", "Value": ["MAYPACS TEST"]}}


def _datasets() -> list[tuple[Path, dict[str, Any]]]:
    found = []
    for path in sample_files():
        try:
            found.append((path, dict(parse_header(path.read_bytes()).dataset)))
        except MayPACSError:
            continue
    return found


DATASETS = _datasets()


def _canonical(dataset: dict[str, Any]) -> dict[str, Any]:
    """What XML says otherwise: trailing empty name parts, empty values at the end, characters it cannot hold."""

    def value(each: Any, vr: str) -> Any:
        if vr == "SQ":
            return _canonical(each or {})
        if isinstance(each, dict):
            return {name: legal(text.rstrip("^")) for name, text in each.items() if text.strip("^")}
        return legal(each) if isinstance(each, str) else each

    def legal(text: str) -> str:
        return re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", text)

    out = {}
    for tag, element in dataset.items():
        each = dict(element)
        if "Value" in each:
            values = [value(v, each["vr"]) for v in each["Value"]]
            while values and values[-1] is None:
                values.pop()
            each["Value"] = values
            if not values:
                del each["Value"]
        out[tag] = each
    return out


@pytest.mark.parametrize(("path", "dataset"), DATASETS, ids=[sample_id(path) for path, _ in DATASETS])
def test_every_sample_comes_back_from_xml(path: Path, dataset: dict[str, Any]) -> None:
    """JSON to XML to JSON."""
    assert _canonical(from_xml(to_xml(dataset))) == _canonical(dataset)


JUDGED = [(path, dataset) for path, dataset in DATASETS if path.stat().st_size < 300_000][::4]


@pytest.mark.parametrize(("path", "dataset"), JUDGED, ids=[sample_id(path) for path, _ in JUDGED])
def test_dcmtk_writes_the_same_attributes(path: Path, dataset: dict[str, Any]) -> None:
    """Tags, order, private creators and plain text values of `dcm2xml --native-format`, where it reads the file."""
    judge = shutil.which("dcm2xml")
    assert judge, "dcmtk is needed"
    command = [judge, "--native-format", "--charset-assume", "latin-1", "--convert-to-utf8", str(path)]
    written = subprocess.run(command, capture_output=True, timeout=60, check=False).stdout
    try:
        theirs = ElementTree.fromstring(re.sub(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]", b"?", written))
    except ElementTree.ParseError:
        return  # dcmtk refuses some of the damaged ones, or writes what is no XML
    ours = ElementTree.fromstring(to_xml(dataset))
    mine, judged = _outline(ours, NS), _outline(theirs, "")
    assert [each[:2] for each in mine] == [each[:2] for each in judged]
    if "declared_latin1" in path.name:
        return  # UTF-8 that says it is Latin-1: we read what it is, dcmtk what it says
    for left, right in zip(mine, judged, strict=True):
        assert left[2] != right[2] or left == right  # another VR: dcmtk leaves UN what the dictionary knows


def _outline(root: ElementTree.Element, ns: str) -> list[tuple[str, str, str, tuple[str, ...]]]:
    """(tag, creator, VR, values) of the top level; values of the VRs that both write as plain text."""
    out = []
    for element in root.findall(f"{ns}DicomAttribute"):
        tag, vr = element.get("tag", ""), element.get("vr", "")
        if tag[4:] == "0000" or tag.startswith(("0002", "FFFC", "00080005")):
            continue
        if vr in {"AE", "AS", "CS", "DA", "TM", "UI", "LO", "SH", "AT"} and not element.get("privateCreator"):
            values = tuple((v.text or "").strip() for v in element.findall(f"{ns}Value"))
        else:
            values = ()
        creator = (element.get("privateCreator") or "").strip()
        if int(tag[:4], 16) % 2 and not creator and tag[4:6] != "00":
            tag = f"{tag[:4]}00{tag[6:]}"  # without a creator dcmtk forgets the block all the same; we do not
        out.append((tag.upper(), creator, vr, tuple(v for v in values if v)))
    return out


names = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="^=\\"), max_size=12)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufffe\uffff"), max_size=20).filter(
    lambda text: all(unicodedata.category(c) != "Cc" or c in "\t\n\r" for c in text)
)


@given(value=texts, name=st.lists(names, min_size=1, max_size=5))
def test_any_text_comes_back(value: str, name: list[str]) -> None:
    """Markup, line ends, spaces, all planes of Unicode."""
    dataset: dict[str, Any] = {"00104000": {"vr": "LT", "Value": [value]}}
    whole = "^".join(name).rstrip("^")
    if whole:
        dataset["00100010"] = {"vr": "PN", "Value": [{"Alphabetic": whole}]}
    if "\u0085" not in value and "\u2028" not in value:
        assert from_xml(to_xml(dataset)) == dataset


def test_names_numbers_gaps_items_and_binary_are_where_the_model_has_them() -> None:
    """PS3.19 A.1.5, element by element."""
    dataset = {
        "00080018": {"vr": "UI", "Value": ["1.2.3"]},
        "00080050": {"vr": "SH"},
        "00081140": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.2"]}}, {}]},
        **PRIVATE,
        "00091001": {"vr": "OB", "InlineBinary": "AAE="},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Nguyễn^Văn Thử", "Ideographic": "阮^文"}]},
        "00280009": {"vr": "AT", "Value": ["00181063"]},
        "00280030": {"vr": "DS", "Value": [0.5, None, "x"]},
        "7FE00010": {"vr": "OW", "BulkDataURI": "https://pacs.example/b?a=1&b=2"},
    }
    root = ElementTree.fromstring(to_xml(dataset))
    by_tag = {element.get("tag"): element for element in root}
    assert by_tag["00080018"].get("keyword") == "SOPInstanceUID"
    private = by_tag["00090001"]
    assert (private.get("privateCreator"), private.findtext(f"{NS}InlineBinary")) == ("MAYPACS TEST", "AAE=")
    assert by_tag["00100010"].findtext(f"{NS}PersonName/{NS}Ideographic/{NS}GivenName") == "文"
    assert [v.get("number") for v in by_tag["00280030"]] == ["1", "3"]
    assert by_tag["7FE00010"][0].get("uri") == "https://pacs.example/b?a=1&b=2"
    assert from_xml(to_xml(dataset)) == dataset


def test_a_private_element_without_its_creator_element_gets_a_block() -> None:
    """The creator is in the attribute: the element is made of it, in a block that is free."""
    document = (
        f'<NativeDicomModel xmlns="{NAMESPACE}"><DicomAttribute tag="00090010" vr="LO"><Value number="1">OTHER</Value>'
        '</DicomAttribute><DicomAttribute tag="00090001" vr="LO" privateCreator="MINE"><Value number="1">v</Value>'
        "</DicomAttribute></NativeDicomModel>"
    )
    found = from_xml(document.encode())
    assert found["00090011"] == {"vr": "LO", "Value": ["MINE"]}
    assert found["00091101"] == {"vr": "LO", "Value": ["v"]}


def _model(inner: str, head: str = "") -> bytes:
    return f'{head}<NativeDicomModel xmlns="{NAMESPACE}">{inner}</NativeDicomModel>'.encode()


_DEEP = '<DicomAttribute tag="00081140" vr="SQ"><Item number="1">'
HOSTILE = {
    "no XML": b"{}",
    "nothing": b"",
    "another root": b"<html/>",
    "cut": _model("")[:-5],
    "entities": _model("", '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>'),
    "a file": _model("", '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'),
    "a document type": _model("", "<!DOCTYPE x>"),
    "too deep": _model(_DEEP * 200 + "</Item></DicomAttribute>" * 200),
    "no tag": _model('<DicomAttribute vr="LO"/>'),
    "a tag that is none": _model('<DicomAttribute tag="../../etc" vr="LO"/>'),
    "no VR": _model('<DicomAttribute tag="00100020" vr="patient"/>'),
    "twice": _model('<DicomAttribute tag="00100020" vr="LO"/>' * 2),
    "a number of billions": _model(
        '<DicomAttribute tag="00100020" vr="LO"><Value number="999999999">a</Value></DicomAttribute>'
    ),
    "one number twice": _model(
        '<DicomAttribute tag="00100020" vr="LO">' + '<Value number="1">a</Value>' * 2 + "</DicomAttribute>"
    ),
    "a value in a value": _model(
        '<DicomAttribute tag="00100020" vr="LO"><Value number="1"><Value/></Value></DicomAttribute>'
    ),
    "an unknown encoding": b'<?xml version="1.0" encoding="x-nothing"?><NativeDicomModel/>',
}


@pytest.mark.parametrize("document", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_document_is_refused(document: bytes) -> None:
    """400, at once."""
    with pytest.raises(BadRequestError):
        from_xml(document)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_data_set_or_refused(document: bytes) -> None:
    """No other error ever."""
    for each in (document, _model("")[:-20] + document):
        try:
            assert isinstance(from_xml(each), dict)
        except BadRequestError:
            continue
