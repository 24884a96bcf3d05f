"""What can be asked here, told by the table of routes: Retrieve Capabilities (PS3.18 8.9) and an OpenAPI description.

OPTIONS of a resource describes that resource, OPTIONS of the root all of them: as WADL by default, as OpenAPI for
application/json. `GET /openapi.json` is the whole. None of it depends on what is stored, nor on who asks.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from maypacs.dicomweb.parameter_schemas import path_parameter, query_parameter
from maypacs.errors import NotAcceptableError
from maypacs.http.answers import Answer, json_answer
from maypacs.http.media_types import DICOM, DICOM_JSON, DICOM_XML, JSON, OCTETS, parse_accept
from maypacs.http.problems import PROBLEM_JSON, TITLES

if TYPE_CHECKING:
    from maypacs.dicomweb.request import Request
    from maypacs.dicomweb.routes import Operation

WADL = "application/vnd.sun.wadl+xml"
_WADL_NAMESPACE = "http://wadl.dev.java.net/2009/02"
_MULTIPART = "multipart/related"
_XML = f'{_MULTIPART}; type="{DICOM_XML}"'
_PICTURES = ("image/jpeg", "image/png", "image/gif", "application/pdf", "text/html", "text/plain", "video/*")
_FRAME_TYPES = (_MULTIPART, OCTETS, "image/*", "video/*")
_PAGING = ("limit", "offset", "includefield", "fuzzymatching", "emptyvaluematching", "multiplevaluematching")
#: Of PS3.18 Table 10.6.1-5, the ones that people search by; any other attribute of the level matches too.
_KEYS = {
    "study": (
        "StudyDate",
        "StudyTime",
        "AccessionNumber",
        "ModalitiesInStudy",
        "ReferringPhysicianName",
        "PatientName",
        "PatientID",
        "StudyInstanceUID",
        "StudyID",
    ),
    "series": ("Modality", "SeriesInstanceUID", "SeriesNumber"),
    "instance": ("SOPClassUID", "SOPInstanceUID", "InstanceNumber"),
}
_RENDERING = ("accept", "window", "viewport", "quality", "annotation", "iccprofile")
_WADO_URI = (
    "requestType",
    "studyUID",
    "seriesUID",
    "objectUID",
    "contentType",
    "frameNumber",
    "windowCenter",
    "windowWidth",
    "rows",
    "columns",
    "region",
    "imageQuality",
    "transferSyntax",
)
#: What any resource may answer, beside what it is for.
_ERRORS = (400, 401, 403, 404, 406, 410, 413, 415, 503)


@dataclass(frozen=True, slots=True)
class Described:
    """One method of one resource."""

    name: str  #: operation id
    summary: str
    query: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()  #: media types of the body
    answers: Mapping[int, tuple[str, ...]] = field(default_factory=dict)  #: statuses, with their media types
    errors: tuple[int, ...] = _ERRORS


def described(template: str, method: str, operation: Operation) -> Described:
    """By what the template ends in: the table of routes is what there is, this says how it is called."""
    level = "instance" if "{instance}" in template else "series" if "{series}" in template else "study"
    words = [word for word in re.split(r"[/{}+.]", template) if word]
    name = method.lower() + "".join(word.capitalize() for word in words)
    if operation.answer.__qualname__.startswith("not_yet."):
        return Described(name, "Not built", answers={}, errors=(400, 401, 403, 404, 501))
    last = template.rpartition("/")[2]
    answers: dict[int, tuple[str, ...]]
    query: tuple[str, ...] = ()
    if method == "DELETE":
        return Described(name, f"Delete the {level}", answers={204: ()}, errors=(*_ERRORS, 409))
    if last == "restore":
        return Described(name, f"Take the {level} out of the trash", answers={204: ()}, errors=(*_ERRORS, 409))
    if operation.answer.__module__.endswith(".decision_requests"):
        return _decision(name, method, template, level)
    if method == "POST":
        takes = (*(f'{_MULTIPART}; type="{each}"' for each in (DICOM, DICOM_JSON, DICOM_XML)), DICOM)
        answers = dict.fromkeys((200, 202, 409), (DICOM_JSON,))
        return Described(name, "Store instances", takes=takes, answers=answers)
    if template == "/openapi.json":
        return Described(name, "This description", answers={200: (JSON,)})
    if template == "/wado":
        answers = {200: (*_PICTURES, DICOM), 304: (), 307: ()}
        return Described(name, "WADO-URI", _WADO_URI, answers=answers)
    if last in ("studies", "series", "instances"):
        searched = {"studies": "study", "series": "series", "instances": "instance"}[last]
        below = itertools.takewhile(lambda each: each != searched, _KEYS)
        levels = [*below, searched]
        keys = tuple(key for each in levels for key in _KEYS[each])
        answers = {200: (DICOM_JSON, JSON, _XML), 204: ()}
        return Described(name, f"Search for {last}", (*_PAGING, *keys), answers=answers)
    if last == "metadata":
        answers, query = {200: (DICOM_JSON, JSON, _XML)}, ()
    elif last in ("rendered", "thumbnail"):
        many = last == "rendered" and "{instance}" not in template
        answers, query = {200: (_MULTIPART,) if many else (_MULTIPART, *_PICTURES)}, _RENDERING
    elif "{frames}" in template or "bulkdata" in template or last == "pixeldata":
        answers, query = {200: _FRAME_TYPES, 206: (OCTETS,)}, ("accept",)
    else:
        answers, query = {200: (_MULTIPART, DICOM)}, ("accept",)
    what = last if not last.startswith("{") else last.strip("{}+")
    return Described(name, f"Retrieve: {what}", query, answers={**answers, 304: (), 307: ()}, errors=(*_ERRORS, 416))


def _decision(name: str, method: str, template: str, level: str) -> Described:
    """Of `decision_requests`: JSON in, JSON out."""
    takes = (JSON,) if method == "POST" else ()
    errors = (*_ERRORS, 409)
    if template.startswith("/quarantine/"):
        answers = {202: (JSON,), 204: ()} if takes else {307: ()}
        return Described(name, "Look into, try again or discard", takes=takes, answers=answers, errors=errors)
    if template.endswith("/erase"):
        return Described(name, f"Erase the {level} for good", takes=takes, answers={202: (JSON,)}, errors=errors)
    if takes:
        summary = f"Reject or lift, hold or release the {level}, promote a version"
        return Described(name, summary, takes=takes, answers={200: (JSON,)}, errors=errors)
    query = ("after", "limit") if template in ("/erasures", "/quarantine") else ("limit",) * (template == "/conflicts")
    what = "what is decided" if template.endswith("/decisions") else template.rpartition("/")[2].strip("{}")
    return Described(name, f"Show: {what}", query, answers={200: (JSON,)})


# OpenAPI 3.1


def retrieve_description(request: Request) -> Answer:
    """GET /openapi.json."""
    from maypacs.dicomweb.routes import ROUTES

    return json_answer(
        openapi(ROUTES, request.root), content_type=JSON, headers={"Cache-Control": "private, max-age=300"}
    )


def openapi(routes: Mapping[str, Mapping[str, Operation]], root: str) -> dict[str, Any]:
    """The OpenAPI 3.1 document of these routes."""
    paths = {
        template.replace("{path+}", "{path}"): {
            **_path_parameters(template),
            **{
                method.lower(): _operation(described(template, method, op), template)
                for method, op in operations.items()
            },
        }
        for template, operations in routes.items()
        if operations
    }
    problem = {
        "type": "object",
        "required": ["type", "title", "status"],
        "properties": {
            "type": {"type": "string"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "support_id": {"type": "string"},
        },
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "MayPACS DICOMweb", "version": "1", "description": "DICOM PS3.18; see docs/conformance.md"},
        "servers": [{"url": root}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Problem": problem},
        },
    }


def _path_parameters(template: str) -> dict[str, Any]:
    names = [name.rstrip("+") for name in re.findall(r"\{([^}]+)\}", template)]
    parameters = [path_parameter(name) for name in names]
    return {"parameters": parameters} if parameters else {}


def _operation(each: Described, template: str) -> dict[str, Any]:
    responses: dict[str, Any] = {
        str(status): {"description": _meaning(status), **_content(types)} for status, types in each.answers.items()
    }
    content = {PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for status in each.errors:
        responses.setdefault(str(status), {"description": TITLES.get(status) or _meaning(status), "content": content})
    document: dict[str, Any] = {"operationId": each.name, "summary": each.summary, "responses": responses}
    resource = template.rpartition("/")[2]
    if each.query:
        document["parameters"] = [query_parameter(name, resource) for name in each.query]
    if each.takes:
        binary, object_ = {"schema": {"type": "string", "format": "binary"}}, {"schema": {"type": "object"}}
        content = {name: object_ if name == JSON else binary for name in each.takes}
        document["requestBody"] = {"required": True, "content": content}
    return document


def _content(types: Iterable[str]) -> dict[str, Any]:
    content: dict[str, Any] = {name: {} for name in types}
    return {"content": content} if content else {}


def _meaning(status: int) -> str:
    known = {200: "Here it is", 202: "Not all of it, or not as it was sent", 204: "Nothing to say", 206: "A range"}
    known |= {304: "As you have it", 307: "It lies there", 416: "No such range", 409: "None of it"}
    return known.get(status) or TITLES[status]


# WADL


def wadl(routes: Mapping[str, Mapping[str, Operation]], root: str) -> bytes:
    """The WADL document of these routes."""
    ElementTree.register_namespace("", _WADL_NAMESPACE)
    application = _sub(None, "application")
    resources = _sub(application, "resources", base=f"{root}/")
    for template, operations in routes.items():
        path = template.lstrip("/").replace("{path+}", "{path}")
        resource = _sub(resources, "resource", path=path)
        for name in re.findall(r"\{([^}]+)\}", path):
            _sub(resource, "param", name=name, style="template")
        for method, operation in operations.items():
            _method(resource, method, described(template, method, operation))
    document: bytes = ElementTree.tostring(application, encoding="utf-8", xml_declaration=True)
    return document


def _method(resource: ElementTree.Element, method: str, each: Described) -> None:
    element = _sub(resource, "method", name=method, id=each.name)
    request = _sub(element, "request")
    for name in each.query:
        _sub(request, "param", name=name, style="query")
    for name in each.takes:
        _sub(request, "representation", mediaType=name)
    for status, types in each.answers.items():
        response = _sub(element, "response", status=str(status))
        for name in types:
            _sub(response, "representation", mediaType=name)
    problems = _sub(element, "response", status=" ".join(str(status) for status in sorted(each.errors)))
    _sub(problems, "representation", mediaType=PROBLEM_JSON)


def _sub(parent: ElementTree.Element | None, element: str, /, **attributes: str) -> ElementTree.Element:
    tag = f"{{{_WADL_NAMESPACE}}}{element}"
    return ElementTree.Element(tag, attributes) if parent is None else ElementTree.SubElement(parent, tag, attributes)


def capabilities(template: str, root: str, accept: str | None, allowed: Sequence[str]) -> Answer:
    """OPTIONS that is no preflight (8.9): of one resource, or of all at the root. Raises NotAcceptableError."""
    from maypacs.dicomweb.routes import ROUTES

    routes = ROUTES if template == "" else {template: ROUTES[template]}
    headers = {"Allow": ", ".join(allowed), "Cache-Control": "no-store", "Vary": "Accept"}
    for wanted in parse_accept(accept):
        if wanted.name in {WADL, "*/*", "application/*"}:
            return Answer(200, {"Content-Type": WADL, **headers}, wadl(routes, root))
        if wanted.name == JSON:
            return json_answer(openapi(routes, root), content_type=JSON, headers=headers)
    raise NotAcceptableError(f"acceptable here: {WADL}, {JSON}")
