"""What people decide about images, as requests below an archive's root (extensions of ours; JSON in, JSON out).

Who may is the policy's to say, and it is recorded before anything is done. Reasons are people's words: they go into
decisions, never into a log or an error.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from maypacs import erasures, holds
from maypacs.dicomweb.request import Request
from maypacs.errors import BadRequestError
from maypacs.http.answers import Answer, json_answer, redirect
from maypacs.http.media_types import JSON
from maypacs.index.removals import Tombstone, read_removals
from maypacs.index.rows import study_pk
from maypacs.index.terms import conflicts_pk
from maypacs.uids import Uid

_NO_STORE = {"Cache-Control": "no-store"}
_MOST = 1_000


def decide(request: Request) -> Answer:
    """POST …/decisions of a study, a series or an instance: ``{"kind", "reason", …}``; 200 and the study's state.

    Kinds: reject, lift, hold, release (``hold``: its id), promote (``version``: its digest; of an instance).
    Raises BadRequestError, NotFoundError, GoneError, ConflictError.
    """
    from maypacs import decisions, erase, promote
    from maypacs.delete import remove

    body, workspace, who = _body(request), request.workspace, request.principal
    study, series, instance = _levels(request)
    reason = _text(body, "reason", "")
    if len(reason) > holds.LONGEST_REASON:
        raise BadRequestError(f"reason: up to {holds.LONGEST_REASON} characters are needed")
    match _text(body, "kind"):
        case "reject":
            remove(workspace, study, series, instance, who, mode=decisions.REJECTED, reason=reason)
        case "lift":
            erase.lift(workspace, study, series, instance, by=who, reason=reason)
        case "hold":
            holds.hold(workspace, study, series, instance, reason=reason, by=who)
        case "release":
            holds.release(workspace, study, _text(body, "hold"), by=who, reason=reason)
        case "promote":
            if series is None or instance is None:
                raise BadRequestError("kind: only a version of an instance is promoted")
            promote.promote(workspace, study, series, instance, _text(body, "version"), by=who, reason=reason)
        case _:
            raise BadRequestError("kind: one of reject, lift, hold, release, promote is needed")
    return state(request)


def state(request: Request) -> Answer:
    """GET …/decisions of a study: what is held, refused and being erased."""
    workspace, study = request.workspace, request.study
    removals = read_removals(workspace.table, study_pk(workspace.archive_id, study))
    refused = [_refusal(level, row) for level, row in removals.rows.items() if row.is_refused]
    held = [each.to_json() for each in holds.holds_of(workspace, study)]
    return _json({"study": study, "holds": held, "refused": refused})


def _refusal(level: tuple[Uid, ...], row: Tombstone) -> dict[str, Any]:
    series, instance = (*level, None, None)[:2]
    mode = "erased" if row.is_erased else "rejected"
    return {"series": series, "instance": instance, "mode": mode, "erasure": row.erasing if row.is_erased else None}


def erase_it(request: Request) -> Answer:
    """POST …/erase of a study, a series or an instance: ``{"reason", "confirm": its UID}``; 202 and the erasure.

    Raises BadRequestError, NotFoundError, ConflictError (held).
    """
    from maypacs.erase import erase

    body = _body(request)
    study, series, instance = _levels(request)
    if _text(body, "confirm") != (instance or series or study):
        raise BadRequestError("confirm: the UID of what is to be erased is needed")
    erasure = erase(request.workspace, study, series, instance, by=request.principal, reason=_text(body, "reason"))
    return _json(dataclasses.asdict(erasure), status=202)


def list_erasures(request: Request) -> Answer:
    """GET /erasures: in the order of their decisions; ``after`` an id. Edges ask, to empty their caches."""
    workspace, after = request.workspace, request.parameter("after") or ""
    found = erasures.erasures(workspace.table, workspace.archive_id, after=after[:64], limit=_limit(request))
    return _json({"erasures": [dataclasses.asdict(each) for each in found]})


def show_erasure(request: Request) -> Answer:
    """GET /erasures/{erasure}: with what was found and destroyed, and the proof once there is one."""
    from maypacs.erase import proof

    return _json(dict(proof(request.workspace, request.path["erasure"])))


def list_conflicts(request: Request) -> Answer:
    """GET /conflicts: studies with instances of several versions, newest first."""
    workspace = request.workspace
    page = workspace.table.query(conflicts_pk(workspace.archive_id), reverse=True, limit=_limit(request))
    return _json({"studies": [item["study"] for item in page.items], "more": page.next is not None})


def conflicts_of(request: Request) -> Answer:
    """GET …/conflicts of a study: each version with its digest, below which it can be looked at, and promoted."""
    from maypacs import promote

    found = [
        {
            "series": conflict.current.series_instance_uid,
            "instance": conflict.current.sop_instance_uid,
            "versions": [
                {
                    "version": ref.digest.hex(),
                    "current": ref is conflict.current,
                    "transfer_syntax": ref.transfer_syntax_uid,
                    "arrival": ref.arrival,
                    "bytes": ref.length,
                }
                for ref in (conflict.current, *conflict.others)
            ],
        }
        for conflict in promote.conflicts_of(request.workspace, request.study)
    ]
    return _json({"study": request.study, "conflicts": found})


def list_quarantine(request: Request) -> Answer:
    """GET /quarantine: what could not be taken in, and why; ``after`` an item."""
    from maypacs.quarantine import in_quarantine

    after = request.parameter("after") or ""
    found = in_quarantine(request.workspace, after=after[:128], limit=_limit(request))
    return _json({"items": [dataclasses.asdict(each) for each in found]})


def show_quarantined(request: Request) -> Answer:
    """GET /quarantine/{item}: a redirect to its bytes."""
    from maypacs.quarantine import download

    return redirect(request.sign(download(request.workspace, request.path["item"])))


def decide_quarantined(request: Request) -> Answer:
    """POST /quarantine/{item}: ``{"kind": "redrive"}`` or ``{"kind": "discard", "reason"}``."""
    from maypacs import quarantine

    body, item = _body(request), request.path["item"]
    match _text(body, "kind"):
        case "redrive":
            return _json({"arrival": quarantine.redrive(request.workspace, item)}, status=202)
        case "discard":
            quarantine.discard(request.workspace, item, by=request.principal, reason=_text(body, "reason"))
            return Answer(204, _NO_STORE)
    raise BadRequestError("kind: redrive or discard is needed")


# Parts of requests and answers.


def _levels(request: Request) -> tuple[Uid, Uid | None, Uid | None]:
    series = request.series if "series" in request.has else None
    return request.study, series, request.instance if "instance" in request.has else None


def _body(request: Request) -> Mapping[str, Any]:
    try:
        document = json.loads(bytes(request.body))
    except (ValueError, RecursionError):
        raise BadRequestError("the body is not JSON") from None
    if not isinstance(document, dict):
        raise BadRequestError("the body must be a JSON object")
    return document


def _text(body: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = body.get(name, default)
    if not isinstance(value, str):
        raise BadRequestError(f"{name}: a text is needed")
    return value


def _limit(request: Request) -> int:
    value = request.parameter("limit") or "100"
    if not value.isascii() or not value.isdigit() or not 1 <= int(value[:9]) <= _MOST:
        raise BadRequestError(f"limit: 1 to {_MOST} is needed")
    return int(value)


def _json(document: Mapping[str, Any], *, status: int = 200) -> Answer:
    return json_answer(document, status=status, content_type=JSON, headers=_NO_STORE)
