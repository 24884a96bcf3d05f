"""What the dashboard asks of an archive: pages of studies by one search box, and the overview of a study.

Searches come in a POST body, so that no patient's name is in a URL, and go on by an opaque cursor: the planner's own
cursor, signed together with what was searched, so that it opens nothing else.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson

from maypacs.access.principals import Action
from maypacs.console.request import Request
from maypacs.errors import BadRequestError, NotFoundError
from maypacs.index.rows import STUDY_SK, SeriesSummary, StudySummary, study_pk
from maypacs.query import parse_query
from maypacs.search import SearchResult, search_series, search_studies
from maypacs.uids import Uid, uid
from maypacs.workspace import Workspace

MAX_LIMIT = 200
_STUDY_UID, _SERIES_UID = "0020000D", "0020000E"
_MAX_VALUE = 256
_SHORTEST_BEGINNING = 3
_ALL: dict[str, list[str]] = {"includefield": ["all"]}  #: descriptions too: what a row keeps costs nothing more to say


@dataclass(frozen=True, slots=True)
class StudyPage:
    studies: Sequence[Mapping[str, Any]]
    next: str | None
    warning: str | None


def search(request: Request) -> dict[str, Any]:
    principal, workspace = request.open(Action.SEARCH)
    request.runtime.gatekeeper.audit.record(principal, Action.SEARCH, workspace.archive_id)
    cursor_key = bytes.fromhex(request.runtime.secrets["cursor_key"])
    return asdict(search_page(workspace, request.body, cursor_key=cursor_key))


def overview(request: Request) -> dict[str, Any]:
    request.caller()  # before anything of the request is looked at
    study = uid(request.parameters["study"])
    principal, workspace = request.open(Action.SEARCH, study)
    request.runtime.gatekeeper.audit.record(principal, Action.SEARCH, workspace.archive_id, study)
    return study_overview(workspace, study)


def search_page(workspace: Workspace, body: Mapping[str, Any], *, cursor_key: bytes) -> StudyPage:
    """A page of studies, newest first. ``body`` is the request's: query, text, from, to, modalities, limit, cursor.

    Raises BadRequestError and TooLargeError (a search too broad; it says what to add).
    """
    limit = body.get("limit", 50)
    if not isinstance(limit, int) or not 1 <= limit <= MAX_LIMIT:
        raise BadRequestError(f"limit: 1 to {MAX_LIMIT} is needed")
    base = _attributes(body)
    attempts = [{**base, **attempt} for attempt in _text_attempts(body.get("text", ""))]
    asked = hashlib.sha256(orjson.dumps([workspace.archive_id, attempts], option=orjson.OPT_SORT_KEYS)).hexdigest()
    first, after = _open_cursor(body.get("cursor"), asked, cursor_key, len(attempts))
    chosen = first
    result = _search(workspace, attempts[chosen], limit, after)
    while after is None and not result.items and chosen + 1 < len(attempts):
        chosen += 1
        result = _search(workspace, attempts[chosen], limit, None)
    following = None
    if result.cursor is not None:
        following = _seal_cursor({"q": asked, "n": chosen, "after": result.cursor}, cursor_key)
    return StudyPage([_study(workspace, item) for item in result.items], following, result.warning)


def _search(workspace: Workspace, attributes: Mapping[str, str], limit: int, after: str | None) -> SearchResult:
    parameters = {name: [value] for name, value in attributes.items()} | {"limit": [str(limit)]} | _ALL
    return search_studies(workspace, parse_query(parameters, "study", after=after))


def study_overview(workspace: Workspace, wanted: Uid) -> dict[str, Any]:
    """A study with its series, warnings and conflicts. Raises NotFoundError."""
    item = workspace.table.get(study_pk(workspace.archive_id, wanted), STUDY_SK)
    if item is None:
        raise NotFoundError("no such study")
    summary = StudySummary.from_item(item)
    only: dict[str, list[str]] = {"StudyInstanceUID": [wanted], **_ALL}
    found = search_studies(workspace, parse_query(only, "study")).items
    if not found:
        raise NotFoundError("no such study")
    rows = _series_rows(workspace, wanted)
    listed = search_series(workspace, parse_query({"limit": ["1000"], **_ALL}, "series", study=wanted)).items
    series = [_series(workspace, wanted, entry, rows) for entry in listed]
    return {
        **_study(workspace, found[0]),
        "size": summary.size,
        "first_arrival": summary.first_arrival,
        "last_arrival": summary.last_arrival,
        "warnings": list(summary.warnings),
        "conflicts": sum(entry["conflicts"] for entry in series),
        "series": series,
    }


def _series_rows(workspace: Workspace, study: Uid) -> dict[str, SeriesSummary]:
    rows: dict[str, SeriesSummary] = {}
    start = None
    while True:
        page = workspace.table.query(study_pk(workspace.archive_id, study), prefix="1#", start=start, consistent=True)
        summaries = (SeriesSummary.from_item(item) for item in page.items)
        rows |= {summary.series_instance_uid: summary for summary in summaries}
        start = page.next
        if start is None:
            return rows


def _study(workspace: Workspace, item: Mapping[str, Any]) -> dict[str, Any]:
    study = item[_STUDY_UID]["Value"][0]
    return {
        "study_instance_uid": study,
        "dicom": item,
        "thumbnail": f"/dicomweb/{workspace.archive_id}/studies/{study}/thumbnail",
    }


def _series(
    workspace: Workspace, study: Uid, item: Mapping[str, Any], rows: Mapping[str, SeriesSummary]
) -> dict[str, Any]:
    series = item[_SERIES_UID]["Value"][0]
    row = rows.get(series)
    return {
        "series_instance_uid": series,
        "dicom": item,
        "modality": row.modality if row else "",
        "instances": row.number_of_instances if row else 0,
        "conflicts": row.number_of_conflicts if row else 0,
        "size": row.size if row else 0,
        "transfer_syntaxes": list(row.transfer_syntaxes) if row else [],
        "clean": bool(row and row.clean),
        "thumbnail": f"/dicomweb/{workspace.archive_id}/studies/{study}/series/{series}/thumbnail",
    }


# What a person typed


def _attributes(body: Mapping[str, Any]) -> dict[str, str]:
    """The QIDO attributes of a request body; empty values are no conditions."""
    query = body.get("query", {})
    if query is None:
        query = {}
    if not isinstance(query, dict) or len(query) > 20:
        raise BadRequestError("query: an object of QIDO attributes is needed")
    attributes: dict[str, str] = {}
    for name, value in query.items():
        if not isinstance(value, str) or len(value) > _MAX_VALUE or name in {"limit", "offset", "includefield"}:
            raise BadRequestError(f"query: texts of up to {_MAX_VALUE} characters are needed, by attribute")
        if value.strip():
            attributes[name] = value.strip()
    begin, end = (_date(body.get(name, "")) for name in ("from", "to"))
    if begin or end:
        attributes["StudyDate"] = begin if begin == end else f"{begin}-{end}"
    modalities = body.get("modalities") or []
    if not isinstance(modalities, list) or not all(isinstance(m, str) and m.isalnum() for m in modalities[:20]):
        raise BadRequestError('modalities: a list such as ["CT", "MR"] is needed')
    if modalities:
        attributes["ModalitiesInStudy"] = ",".join(modalities[:20])
    return attributes


def _date(value: Any) -> str:
    if value in ("", None):
        return ""
    if not isinstance(value, str) or len(value) != 8 or not value.isascii() or not value.isdigit():
        raise BadRequestError("from, to: YYYYMMDD is needed")
    return value


def _text_attempts(text: Any) -> list[dict[str, str]]:
    """One box: what holds a digit is an id before it is a name; each is tried until one finds something.

    The beginning of an id comes last: no key leads to it, so it reads studies by date, up to the search's bound.
    """
    if not isinstance(text, str) or len(text) > _MAX_VALUE:
        raise BadRequestError(f"text: up to {_MAX_VALUE} characters are needed")
    text = " ".join(text.split())
    if not text:
        return [{}]
    name = {"PatientName": text, "fuzzymatching": "true"}
    if not any(c.isdigit() for c in text):
        return [name]
    attempts = [{"PatientID": text}, {"AccessionNumber": text}, name]
    if len(text) >= _SHORTEST_BEGINNING and not text.endswith("*"):
        attempts += [{"PatientID": f"{text}*"}, {"AccessionNumber": f"{text}*"}]
    return attempts


# Cursors


def _seal_cursor(content: Mapping[str, Any], key: bytes) -> str:
    payload = base64.urlsafe_b64encode(orjson.dumps(content)).rstrip(b"=")
    return f"{payload.decode('ascii')}.{_signature(payload, key)}"


def _open_cursor(cursor: Any, asked: str, key: bytes, attempts: int) -> tuple[int, str | None]:
    """Which attempt goes on, and after what. Raises BadRequestError when it is not ours or of another search."""
    if cursor is None:
        return 0, None
    payload, _, signature = cursor.partition(".") if isinstance(cursor, str) else ("", "", "")
    if (
        not payload.isascii()
        or not signature.isascii()
        or not hmac.compare_digest(signature, _signature(payload.encode("ascii"), key))
    ):
        raise BadRequestError("cursor: not one that we gave")
    content = orjson.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    if content["q"] != asked or content["n"] >= attempts:
        raise BadRequestError("cursor: it belongs to another search")
    return content["n"], content["after"]


def _signature(payload: bytes, key: bytes) -> str:
    return hmac.digest(key, b"search cursor\0" + payload, "sha256").hex()
