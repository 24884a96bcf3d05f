"""The Native DICOM Model (PS3.19 A.1), XML of a data set, to and from the DICOM JSON model (PS3.18 annex F).

Written as dcmtk and the standard have it: a private element's block is 00 and its creator an attribute. What XML 1.0
cannot hold (control characters) becomes U+FFFD. Read from hostile clients: no document type, so no entities; bounded in
depth and in number; text of any length is the caller's limit.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from maypacs.dicom.elements import MAX_DEPTH
from maypacs.dicom.keywords import keyword
from maypacs.errors import BadRequestError

NAMESPACE = "http://dicom.nema.org/PS3.19/models/NativeDICOM"
Dataset = dict[str, Any]

_GROUPS = ("Alphabetic", "Ideographic", "Phonetic")
_NAMES = ("FamilyName", "GivenName", "MiddleName", "NamePrefix", "NameSuffix")
_INTEGERS = frozenset({"IS", "SL", "SS", "SV", "UL", "US", "UV"})
_DECIMALS = frozenset({"DS", "FD", "FL"})
_VR = re.compile(r"[A-Z]{2}\Z")
_TAG = re.compile(r"[0-9A-Fa-f]{8}\Z")
_ILLEGAL = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
#: Elements of one document: a data set of hundreds of thousands of attributes is an attack or no picture.
MAX_ELEMENTS = 2_000_000
#: JSON numbers of browsers end there (as in `maypacs.dicom.values`).
_EXACT = 1 << 53


# -- writing ----------------------------------------------------------------------------------------------------------


def to_xml(dataset: Mapping[str, Any]) -> bytes:
    """A document of one data set, UTF-8."""
    head = f'<?xml version="1.0" encoding="UTF-8"?>\n<NativeDicomModel xmlns="{NAMESPACE}" xml:space="preserve">\n'
    return "".join((head, *_attributes(dataset), "</NativeDicomModel>\n")).encode("utf-8")


def _attributes(dataset: Mapping[str, Any]) -> Iterator[str]:
    written: set[tuple[str, str]] = set()
    for tag in sorted(dataset):
        element = dataset[tag]
        vr = element.get("vr", "UN")
        name, creator = keyword(tag), _creator(dataset, tag)
        short = f"{tag[:4]}00{tag[6:]}" if creator else tag
        if (short, creator) in written:  # one creator with two blocks of a group: only the whole tag tells them apart
            short = tag
        written.add((short, creator))
        yield f'<DicomAttribute tag="{short}" vr="{vr}"'
        yield f' keyword="{name}"' if name else ""
        yield f" privateCreator={quoteattr(_legal(creator))}" if creator else ""
        yield ">\n"
        yield from _content(element, vr)
        yield "</DicomAttribute>\n"


def _creator(dataset: Mapping[str, Any], tag: str) -> str:
    """Who reserved the block of a private element; "" when nobody did, and of all others."""
    if not int(tag[:4], 16) % 2 or int(tag[4:], 16) < 0x1000:
        return ""
    values = dataset.get(f"{tag[:4]}00{tag[4:6]}", {}).get("Value") or [""]
    return values[0] if isinstance(values[0], str) else ""


def _content(element: Mapping[str, Any], vr: str) -> Iterator[str]:
    if "BulkDataURI" in element:
        yield f"<BulkData uri={quoteattr(_legal(element['BulkDataURI']))}/>\n"
    elif "InlineBinary" in element:
        yield f"<InlineBinary>{element['InlineBinary']}</InlineBinary>\n"
    for number, value in enumerate(element.get("Value", ()), start=1):
        if vr == "SQ":
            yield f'<Item number="{number}">\n'
            yield from _attributes(value or {})
            yield "</Item>\n"
        elif value is None:
            continue
        elif isinstance(value, Mapping):
            yield f'<PersonName number="{number}">\n'
            yield from (_group(name, value[name]) for name in _GROUPS if value.get(name))
            yield "</PersonName>\n"
        else:
            yield f'<Value number="{number}">{_text(value)}</Value>\n'


def _group(name: str, value: str) -> str:
    parts = zip(_NAMES, value.split("^", 4), strict=False)
    return f"<{name}>" + "".join(f"<{part}>{_text(text)}</{part}>" for part, text in parts if text) + f"</{name}>\n"


def _text(value: object) -> str:
    """A carriage return would come back as a line feed (XML 1.0 2.11) if it were not written as a reference."""
    return escape(_legal(str(value)), {"\r": "&#13;"})


def _legal(text: str) -> str:
    return _ILLEGAL.sub("\ufffd", text)


# -- reading ----------------------------------------------------------------------------------------------------------


def from_xml(document: bytes) -> Dataset:
    """The data set of a NativeDicomModel document. Raises BadRequestError: not XML, not this model, too deep."""
    reader = _Reader()
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartDoctypeDeclHandler = _no_doctype
    parser.EntityDeclHandler = _no_doctype
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.characters
    parser.buffer_text = True
    try:
        parser.Parse(document, True)
    except expat.ExpatError as error:
        raise BadRequestError(f"not well-formed XML (line {error.lineno})") from None
    except (LookupError, ValueError):
        raise BadRequestError("XML in an encoding that is not known") from None
    if reader.root is None:
        raise BadRequestError("not a NativeDicomModel")
    return reader.root


def _no_doctype(*_: object) -> None:
    raise BadRequestError("a document type or an entity is not taken")


class _Reader:
    """A stack of what is open: data sets, attributes, names; text is kept for the innermost alone."""

    def __init__(self) -> None:
        self.root: Dataset | None = None
        self._open: list[tuple[str, Any]] = []
        self._text: list[str] = []
        self._count = 0
        self._depth = 0

    def start(self, qualified: str, attributes: dict[str, str]) -> None:
        name = qualified.rpartition(" ")[2]
        self._count += 1
        if self._count > MAX_ELEMENTS:
            raise BadRequestError("too many XML elements")
        parent, holder = self._innermost()
        self._text.clear()
        if name == "NativeDicomModel" and not self._open and self.root is None:
            self.root = {}
            self._open.append((name, self.root))
        elif name == "DicomAttribute" and parent in {"NativeDicomModel", "Item"}:
            self._open.append((name, _new_element(holder, attributes)))
        elif name == "Item" and parent == "DicomAttribute":
            self._depth += 1
            if self._depth > MAX_DEPTH:
                raise BadRequestError(f"sequences are nested more than {MAX_DEPTH} deep")
            self._open.append((name, _numbered(holder, attributes, {})))
        elif name == "PersonName" and parent == "DicomAttribute":
            self._open.append((name, _numbered(holder, attributes, {})))
        elif name in _GROUPS and parent == "PersonName":
            self._open.append((name, [""] * len(_NAMES)))
        elif (name == "Value" and parent == "DicomAttribute") or (name in _NAMES and parent in _GROUPS):
            self._open.append((name, attributes))
        elif name in {"BulkData", "InlineBinary"} and parent == "DicomAttribute":
            if name == "BulkData":
                holder["BulkDataURI"] = attributes.get("uri") or attributes.get("uuid") or ""
            self._open.append((name, None))
        else:
            raise BadRequestError("an XML element where the Native DICOM Model has none")

    def _innermost(self) -> tuple[str, Any]:
        return self._open[-1] if self._open else ("", None)

    def end(self, qualified: str) -> None:
        name, content = self._open.pop()
        text = "".join(self._text)
        self._text.clear()
        _, holder = self._innermost()
        if name == "Value":
            _numbered(holder, content, _value(holder["vr"], text))
        elif name == "InlineBinary":
            holder["InlineBinary"] = "".join(text.split())
        elif name in _NAMES:
            holder[_NAMES.index(name)] = text
        elif name in _GROUPS:
            holder[name] = "^".join(content).rstrip("^")
        elif name == "Item":
            self._depth -= 1
        elif name == "DicomAttribute" and "Value" in content and content["vr"] == "SQ":
            content["Value"] = [{} if item is None else item for item in content["Value"]]

    def characters(self, data: str) -> None:
        if self._open and self._open[-1][0] in {"Value", "InlineBinary", *_NAMES}:
            self._text.append(data)


def _new_element(dataset: Dataset, attributes: dict[str, str]) -> dict[str, Any]:
    """The element of a DicomAttribute, put into its data set."""
    tag, vr = attributes.get("tag", ""), attributes.get("vr", "UN")
    if not _TAG.match(tag) or not _VR.match(vr):
        raise BadRequestError("a DicomAttribute needs a tag of 8 hex digits and a VR of 2 letters")
    tag = tag.upper()
    if creator := attributes.get("privateCreator"):
        tag = _placed(dataset, tag, creator)
    if tag in dataset:
        raise BadRequestError(f"the attribute {tag} is there twice")
    element: dict[str, Any] = {"vr": vr}
    dataset[tag] = element
    return element


def _placed(dataset: Dataset, tag: str, creator: str) -> str:
    """The tag of a private element in the block that its creator reserved, or in the next free one."""
    if not int(tag[:4], 16) % 2 or int(tag[4:], 16) >= 0x1000:
        return tag
    taken = set()
    for block in range(0x10, 0x100):
        held = dataset.get(f"{tag[:4]}00{block:02X}")
        if held and held.get("Value") == [creator]:
            return f"{tag[:4]}{block:02X}{tag[6:]}"
        if held:
            taken.add(block)
    free = next((block for block in range(0x10, 0x100) if block not in taken), None)
    if free is None:
        raise BadRequestError(f"no private block of group {tag[:4]} is free")
    dataset[f"{tag[:4]}00{free:02X}"] = {"vr": "LO", "Value": [creator]}
    return f"{tag[:4]}{free:02X}{tag[6:]}"


def _numbered(element: dict[str, Any], attributes: dict[str, str], value: Any) -> Any:
    """Puts a value at its number, from 1; those that are left out are empty (null)."""
    values: list[Any] = element.setdefault("Value", [])
    try:
        number = int(attributes.get("number", len(values) + 1))
    except ValueError:
        number = 0
    if not 0 < number <= MAX_ELEMENTS or number > len(values) + 100_000:
        raise BadRequestError("values are numbered from 1")
    values.extend([None] * (number - len(values)))
    if values[number - 1] is not None:
        raise BadRequestError("two values have one number")
    values[number - 1] = value
    return value


def _value(vr: str, text: str) -> Any:
    """As the JSON model has it: numbers as numbers where they are some, and exact."""
    try:
        if vr in _INTEGERS:
            number = int(text)
            return number if abs(number) < _EXACT else text
        if vr in _DECIMALS:
            decimal = float(text)
            return decimal if abs(decimal) != float("inf") and decimal == decimal else text
    except ValueError:
        return text
    return text
