"""Structured reports as text (PS3.18 8.7.4, Table 8.7.4-1: text/html by default, text/plain).

The content tree (PS3.3 C.17.3) becomes nested lists: the concept's meaning and the value of each item. Everything that
comes out of the object is escaped, and the answer forbids scripts, styles of others and network (CSP sandbox). The
document holds what the object holds: it is for those who may read the study.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Any

from maypacs.dicomweb.request import Request
from maypacs.errors import NotFoundError, TooLargeError
from maypacs.exports import export_name
from maypacs.frame_bytes import attributes_of
from maypacs.http.answers import Answer, conditional, not_modified
from maypacs.index.contents import InstanceRef
from maypacs.passing import SANDBOX
from maypacs.pixels.image import Attributes, items, text

#: Changes when the same report is written otherwise.
_WRITER = "1"
#: Bounds of a tree that somebody may have made to hurt: what is beyond is said to be left out.
MAX_DEPTH, MAX_ITEMS = 64, 20_000
_CONTENT = "0040A730"


@dataclass(frozen=True, slots=True)
class Line:
    depth: int
    concept: str
    value: str
    note: str = ""  #: the relationship, when it is not the usual CONTAINS


def answer(request: Request, ref: InstanceRef, media_type: str) -> Answer:
    """A report as text/html or text/plain. Raises NotFoundError when the instance holds no content tree."""
    facts = (_WRITER, ref.digest.hex(), media_type)
    name = export_name(request.workspace.store, "report", *facts, study=ref.study_instance_uid)
    etag = name.rpartition("-")[2]
    if not_modified(request.if_none_match, etag):
        return conditional(Answer(200), etag, request.if_none_match)
    attributes = attributes_of(request.workspace, ref)
    body = write(attributes, media_type).encode("utf-8")
    if len(body) > request.settings.inline_limit:
        raise TooLargeError("the report is too large to be shown: ask for the instance")
    headers = {"Content-Type": f"{media_type}; charset=utf-8", **SANDBOX}
    return conditional(Answer(200, headers, body), etag, None)


def write(attributes: Attributes, media_type: str) -> str:
    """Raises NotFoundError when there is no content tree."""
    if _CONTENT not in attributes and "0040A043" not in attributes:
        raise NotFoundError("the instance has no content to show")
    lines = list(content_lines(attributes))
    return html(attributes, lines) if media_type == "text/html" else plain(attributes, lines)


def heading(attributes: Attributes) -> tuple[str, list[tuple[str, str]]]:
    """Title, and what is known of the document."""
    title = _code(attributes, "0040A043") or "Structured report"
    facts = [
        ("Patient", name(attributes, "00100010")),
        ("Patient ID", text(attributes, "00100020")),
        ("Birth date", text(attributes, "00100030")),
        ("Study date", text(attributes, "00080020")),
        ("Accession number", text(attributes, "00080050")),
        ("Content date", " ".join(filter(None, (text(attributes, "00080023"), text(attributes, "00080033"))))),
        ("Completion", text(attributes, "0040A491")),
        ("Verification", text(attributes, "0040A493")),
    ]
    return title, [(label, value) for label, value in facts if value]


def content_lines(attributes: Attributes) -> Iterator[Line]:
    """The tree below its root, depth first, without recursion: a tree of any depth ends."""
    stack: list[tuple[int, Attributes]] = [(0, item) for item in reversed(items(attributes, _CONTENT))]
    count = 0
    while stack:
        depth, item = stack.pop()
        count += 1
        if count > MAX_ITEMS:
            yield Line(0, "", "… the rest is left out: too many items")
            return
        relationship = text(item, "0040A010")
        note = "" if relationship in {"CONTAINS", ""} else relationship.lower()
        yield Line(depth, _code(item, "0040A043"), value_of(item), note)
        if depth < MAX_DEPTH:
            stack += [(depth + 1, child) for child in reversed(items(item, _CONTENT))]
        elif items(item, _CONTENT):
            yield Line(depth + 1, "", "… the rest is left out: nested too deep")


def value_of(item: Attributes) -> str:
    """The value of a content item by its value type (PS3.3 Table C.17.3-1)."""
    kind = text(item, "0040A040").upper()
    if kind == "TEXT":
        return text(item, "0040A160")
    if kind == "NUM":
        return "; ".join(_measured(each) for each in items(item, "0040A300")) or _code(item, "0040A301")
    if kind == "CODE":
        return _code(item, "0040A168")
    simple = {"DATETIME": "0040A120", "DATE": "0040A121", "TIME": "0040A122", "UIDREF": "0040A124"}
    if kind in simple:
        return text(item, simple[kind])
    if kind == "PNAME":
        return name(item, "0040A123")
    if kind in {"IMAGE", "COMPOSITE", "WAVEFORM"}:
        return "; ".join(_reference(each, kind) for each in items(item, "00081199"))
    if kind in {"SCOORD", "SCOORD3D"}:
        return f"{text(item, '00700023').lower()} ({_points(item)})"
    if kind == "TCOORD":
        return text(item, "0040A130").lower()
    referenced = item.get("0040DB73")
    if isinstance(referenced, dict) and not kind:  # by reference: the position in the tree
        return "see " + ".".join(str(v) for v in referenced.get("Value", []))
    return ""


def _measured(item: Attributes) -> str:
    value, unit = text(item, "0040A30A"), ""
    for code in items(item, "004008EA")[:1]:
        unit = text(code, "00080100")
    return f"{value} {unit}".strip() if unit not in {"1", "{no units}"} else value


def _reference(item: Attributes, kind: str) -> str:
    frames = item.get("00081160")
    suffix = ""
    if isinstance(frames, dict):
        suffix = " frame " + ", ".join(str(v) for v in frames.get("Value", []))
    return f"{kind.lower()} {text(item, '00081155')}{suffix}"


def _points(item: Attributes) -> str:
    element: Any = item.get("00700022")
    values = element.get("Value", []) if isinstance(element, dict) else []
    shown = ", ".join(f"{v:g}" if isinstance(v, int | float) else str(v) for v in values[:12])
    return shown + (" …" if len(values) > 12 else "")


def _code(item: Attributes, sequence: str) -> str:
    for code in items(item, sequence)[:1]:
        meaning = text(code, "00080104")
        return meaning or text(code, "00080100") or text(code, "00080119") or text(code, "00080120")
    return ""


def name(item: Attributes, tag: str) -> str:
    """A person's name as people write it."""
    element: Any = item.get(tag)
    values = element.get("Value", []) if isinstance(element, dict) else []
    first = values[0] if values else None
    if not isinstance(first, dict):
        return ""
    groups = [str(first[group]) for group in ("Alphabetic", "Ideographic", "Phonetic") if first.get(group)]
    return " = ".join(" ".join(group.replace("^", " ").split()) for group in groups)


# -- writing ----------------------------------------------------------------------------------------------------------


def plain(attributes: Attributes, lines: list[Line]) -> str:
    title, facts = heading(attributes)
    out = [_visible(title), "=" * min(78, len(title)), *(f"{label}: {_visible(value)}" for label, value in facts), ""]
    for line in lines:
        note = f" [{_visible(line.note)}]" if line.note else ""
        words = ": ".join(filter(None, (_visible(line.concept), _visible(line.value, indent=line.depth))))
        out.append(f"{'  ' * line.depth}{words or '-'}{note}")
    return "\n".join(out) + "\n"


def _visible(value: str, indent: int = 0) -> str:
    """Without control characters; the lines of a paragraph are indented like its first."""
    kept = "".join(c for c in value.replace("\r\n", "\n").replace("\r", "\n") if c >= " " or c in "\n\t")
    return kept.replace("\n", "\n" + "  " * (indent + 1))


def html(attributes: Attributes, lines: list[Line]) -> str:
    title, facts = heading(attributes)
    out = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">',
        f"<title>{_escaped(title)}</title>",
        "<style>body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
        "dt{font-weight:600}dd{margin:0 0 .3rem 1rem}li{margin:.2rem 0}i{color:#666}p{white-space:pre-wrap}"
        "b+span{margin-left:.4rem}span{white-space:pre-wrap}</style></head><body>",
        f"<h1>{_escaped(title)}</h1><dl>",
        *(f"<dt>{_escaped(label)}</dt><dd>{_escaped(value)}</dd>" for label, value in facts),
        "</dl>",
    ]
    depth = -1
    for line in lines:
        if line.depth > depth:
            out.append("<ul>" * (line.depth - depth))
        else:
            out.append("</li>" + "</ul></li>" * (depth - line.depth))
        depth = line.depth
        out.append("<li>" + _html_line(line))
    out.append(("</li>" + "</ul></li>" * depth + "</ul>") if depth >= 0 else "")
    out.append("</body></html>\n")
    return "".join(out)


def _html_line(line: Line) -> str:
    note = f" <i>{_escaped(line.note)}</i>" if line.note else ""
    concept = f"<b>{_escaped(line.concept)}</b>" if line.concept else ""
    value = f"<span>{_escaped(line.value)}</span>" if line.value else ""
    return f"{concept}{value}{note}"


def _escaped(value: str) -> str:
    return escape(_visible(value), quote=True)
