"""WADO-URI (PS3.18 clause 9): one instance by query parameters, as DICOM, as a picture or as text.

A request is put into the words of WADO-RS and answered by it, so that both give the same bytes: the parameters of
Table 9.5.1-1 become those of Table 8.3.5-1, `contentType` and `transferSyntax` become the Accept header.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from maypacs.dicomweb.request import Request
from maypacs.errors import BadRequestError, FrameNotFoundError, NotAcceptableError, NotSupportedError
from maypacs.frame_bytes import attributes_of
from maypacs.http.answers import Answer
from maypacs.http.media_types import DICOM, MediaType, parse_accept
from maypacs.index.contents import InstanceRef
from maypacs.pixels import image as images
from maypacs.rendered import retrieve_rendered
from maypacs.rendering_parameters import MAX_VIEWPORT
from maypacs.resource_kinds import available_types
from maypacs.retrieve import retrieve
from maypacs.selection import select
from maypacs.uids import uid

_LEVELS = {"study": "studyUID", "series": "seriesUID", "instance": "objectUID"}
#: Parameters of a picture that mean the same in both services, under the name that each has.
_SAME = {"annotation": "annotation", "imageQuality": "quality", "iccprofile": "iccprofile"}
_PRESENTATION = ("presentationSeriesUID", "presentationUID")
#: 9.4.1.2: implicit VR and big endian shall not be asked for.
_NO_TRANSFER = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.2"})


def retrieve_wado_uri(request: Request) -> Answer:
    """GET /wado?requestType=WADO&studyUID=…&seriesUID=…&objectUID=…

    Raises BadRequestError (a required parameter is absent, one makes no sense), NotFoundError, NotAcceptableError.
    """
    if request.parameter("requestType") != "WADO":
        raise BadRequestError("requestType=WADO is needed")
    path = {level: str(uid(_required(request, name))) for level, name in _LEVELS.items()}
    if (request.parameter("anonymize") or "no") != "no":
        raise NotSupportedError("nothing is anonymized here: a picture that should not identify is no right answer")
    _check_charset(request.parameter("charset"))
    asked = replace(request, path=path)
    ref = select(request.workspace, asked.study, asked.series, asked.instance).instances[0]
    media_type = _media_type(request, ref)
    if media_type == DICOM:
        return _dicom(asked)
    return _picture(asked, ref, media_type)


def _required(request: Request, name: str) -> str:
    value = request.parameter(name)
    if not value:
        raise BadRequestError(f"the parameter {name} is needed")
    return value


def _check_charset(value: str | None) -> None:
    """Text and metadata are UTF-8, and nothing is written in another set (8.3.3.2)."""
    names = {name.partition(";")[0].strip().lower() for name in (value or "").split(",")} - {""}
    if names and not names & {"utf-8", "utf8", "iso_ir 192", "*"}:
        raise NotAcceptableError("the character set of answers is UTF-8")


def _media_type(request: Request, ref: InstanceRef) -> str:
    """By contentType, else by Accept, else the default of what it is: several frames and data are DICOM (8.7.2)."""
    available = (*available_types(ref), DICOM)
    default = DICOM if ref.number_of_frames > 1 and "frameNumber" not in request.query else available[0]
    asked = request.parameter("contentType")
    wanted = parse_accept(asked) if asked else parse_accept(request.headers.get("accept"))
    for each in wanted:
        found = _match(each, available, default)
        if found:
            return found
    raise NotAcceptableError(f"acceptable here: {', '.join(available)}")


def _match(wanted: MediaType, available: tuple[str, ...], default: str) -> str | None:
    if wanted.name == "*/*":
        return default
    if wanted.name.endswith("/*"):
        return next((name for name in available if name.startswith(wanted.name[:-1])), None)
    return wanted.part if wanted.part in available else None


def _dicom(request: Request) -> Answer:
    """9.4: Explicit VR Little Endian unless another syntax is asked for; what belongs to pictures does not belong."""
    if request.parameter("frameNumber") is not None:
        raise BadRequestError("frameNumber is not for application/dicom (9.4.1)")
    syntax = request.parameter("transferSyntax")
    accept = DICOM
    if syntax and syntax != "*":
        if str(uid(syntax)) in _NO_TRANSFER:
            raise BadRequestError("Implicit VR Little Endian and Explicit VR Big Endian are not to be asked for (9.4)")
        accept += f"; transfer-syntax={syntax}"
    elif syntax:
        accept += "; transfer-syntax=*"
    return retrieve(replace(request, query={}, headers={**request.headers, "accept": accept}))


def _picture(request: Request, ref: InstanceRef, media_type: str) -> Answer:
    query: dict[str, list[str]] = {}
    for name, other in _SAME.items():
        value = request.parameter(name)
        if value:
            query[other] = [value]
    presentation = [request.parameter(name) for name in _PRESENTATION]
    if any(presentation) and not all(presentation):
        raise BadRequestError("presentationSeriesUID and presentationUID go together (9.5.1)")
    if all(presentation):
        if any(name in request.query for name in ("windowCenter", "windowWidth", "annotation", "region")):
            raise BadRequestError("a presentation state leaves no room for windows, regions and annotations (9.5.1)")
        query |= {name: [str(value)] for name, value in zip(_PRESENTATION, presentation, strict=True)}
    window = [request.parameter(name) for name in ("windowCenter", "windowWidth")]
    if any(window):
        if not all(window):
            raise BadRequestError("windowCenter and windowWidth go together")
        query["window"] = [f"{window[0]},{window[1]},linear"]
    viewport = _viewport(request, ref)
    if viewport:
        query["viewport"] = [viewport]
    path: Mapping[str, str] = request.path
    number = request.parameter("frameNumber")
    if number is not None:
        if not (number.isascii() and number.isdigit() and int(number[:10]) > 0):
            raise BadRequestError("frameNumber is a number from 1")
        path = {**path, "frames": number}
    try:
        return retrieve_rendered(
            replace(request, path=path, query=query, headers={**request.headers, "accept": media_type})
        )
    except FrameNotFoundError as error:
        raise BadRequestError(str(error)) from None  # 9.5.2: a frame that is not there is a bad request here


def _viewport(request: Request, ref: InstanceRef) -> str | None:
    """rows, columns and region (xmin,ymin,xmax,ymax, each of 0 to 1) as the viewport of 8.3.5.1.3."""
    rows, columns = (_size(request, name) for name in ("rows", "columns"))
    region = request.parameter("region")
    if region is None:
        return f"{columns or MAX_VIEWPORT},{rows or MAX_VIEWPORT}" if rows or columns else None
    try:
        left, top, right, bottom = (float(field) for field in region.split(","))
    except ValueError:
        raise BadRequestError("region is xmin,ymin,xmax,ymax") from None
    if not (0 <= left < right <= 1 and 0 <= top < bottom <= 1):
        raise BadRequestError("region is xmin,ymin,xmax,ymax, each from 0 to 1 and the first of a pair the smaller one")
    pixel = images.image_pixel(attributes_of(request.workspace, ref))
    x, y = left * pixel.columns, top * pixel.rows
    width, height = (right - left) * pixel.columns, (bottom - top) * pixel.rows
    if not (rows or columns):
        rows, columns = max(1, round(height)), max(1, round(width))
    return f"{columns or MAX_VIEWPORT},{rows or MAX_VIEWPORT},{x:.6f},{y:.6f},{width:.6f},{height:.6f}"


def _size(request: Request, name: str) -> int | None:
    value = request.parameter(name)
    if value is None:
        return None
    if not (value.isascii() and value.isdigit() and 1 <= int(value[:6]) <= MAX_VIEWPORT):
        raise BadRequestError(f"{name} is a number from 1 to {MAX_VIEWPORT}")
    return int(value)
