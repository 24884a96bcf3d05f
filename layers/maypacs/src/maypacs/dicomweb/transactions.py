"""Search and delete as DICOMweb answers (PS3.18 10.6; deletion is an extension of ours)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from maypacs.dicomweb.request import Request
from maypacs.dicomweb.xml_answers import xml_answer
from maypacs.errors import NotSupportedError
from maypacs.http.answers import Answer, json_answer
from maypacs.http.media_types import DICOM_XML, metadata_choice
from maypacs.query import Level, parse_query
from maypacs.search import search
from maypacs.search_items import RETRIEVE_URL


def searching(level: Level) -> Callable[[Request], Answer]:
    """GET /studies, /series, /instances and those below a study or a series: 200 or 204, Warning 299 when cut."""

    def answer(request: Request) -> Answer:
        media_type = metadata_choice(request.accept)
        query = parse_query(
            request.query,
            level,
            study=request.study if "study" in request.has else None,
            series=request.series if "series" in request.has else None,
        )
        found = search(request.workspace, query)
        headers = {"Cache-Control": "no-store", "Vary": "Accept, Authorization"}
        if found.warning:
            headers["Warning"] = f"299 {request.root}: {found.warning}"
        if not found.items:
            return Answer(204, headers, figures=found.figures)
        items = [{**item, RETRIEVE_URL: _absolute(item[RETRIEVE_URL], request.root)} for item in found.items]
        if media_type == DICOM_XML:
            return replace(xml_answer(items, request.accept, headers=headers), figures=found.figures)
        return replace(json_answer(items, content_type=media_type, headers=headers), figures=found.figures)

    return answer


def _absolute(element: dict[str, object], root: str) -> dict[str, object]:
    values = element.get("Value")
    return {**element, "Value": [f"{root}{value}" for value in values]} if isinstance(values, list) else element


def delete(request: Request) -> Answer:
    """DELETE of a study, a series or an instance: 204; then it is 410. Raises NotFoundError, GoneError."""
    from maypacs import delete

    workspace, who = request.workspace, request.principal
    if "instance" in request.has:
        delete.delete_instance(workspace, request.study, request.series, request.instance, who)
    elif "series" in request.has:
        delete.delete_series(workspace, request.study, request.series, who)
    else:
        delete.delete_study(workspace, request.study, who)
    return Answer(204, {"Cache-Control": "no-store"})


def restore(request: Request) -> Answer:
    """POST …/restore of a study, a series or an instance: 204, and it is there again. Raises NotFoundError."""
    from maypacs.restore import restore

    series = request.series if "series" in request.has else None
    instance = request.instance if "instance" in request.has else None
    restore(request.workspace, request.study, series, instance, request.principal)
    return Answer(204, {"Cache-Control": "no-store"})


def not_yet(what: str) -> Callable[[Request], Answer]:
    """A transaction of DICOMweb that is not built: 501 with a clear message, never something wrong."""

    def answer(request: Request) -> Answer:
        raise NotSupportedError(f"{what} is not built yet")

    return answer
