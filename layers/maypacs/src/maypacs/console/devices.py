"""Edges and the devices behind them: what each edge says of itself, and the page that shows it.

A heartbeat a minute overwrites the one before: no history is kept. `docs/operations.md` says what that costs.
"""

from __future__ import annotations

import re
import time
from typing import Any, Final

from maypacs.access import edges, keys
from maypacs.access.edges import Edge
from maypacs.access.gatekeeper import bearer
from maypacs.access.principals import Action, Principal
from maypacs.console import heartbeat
from maypacs.console.request import Json, Request
from maypacs.errors import BadRequestError, ForbiddenError, NotFoundError, UnauthenticatedError
from maypacs.uids import ArchiveId

#: Three heartbeats that are missing are no accident, and after fifteen somebody should go.
SILENT_BEATS: Final = 3
SILENT_LONG_BEATS: Final = 15
_SHA256: Final = re.compile(r"[0-9a-f]{64}")


def beat(request: Request) -> Json:
    """A heartbeat. The answer has our time, by which the edge knows how wrong its clock is, and when to speak next."""
    edge, archive_id = _edge(request)
    health = heartbeat.pack(request.body)
    accounts = request.runtime.accounts
    try:
        edges.note_heartbeat(accounts, archive_id, edge.id, version=request.text("version", ""), health=health)
    except NotFoundError:
        # Removed, but its key works: a moment before the removal is seen everywhere, or an end that was never finished.
        keys.forget_secret(accounts, bearer(request.headers))
        request.runtime.gatekeeper.forget()
        raise UnauthenticatedError("the API key is not valid") from None
    return {"now": time.time(), "next_seconds": request.runtime.settings.heartbeat_seconds}


def list_devices(request: Request) -> Json:
    """How the edges of an archive are, and their devices. Nothing of a patient, so nothing to audit."""
    _, workspace = request.open(Action.MONITOR)
    now, seconds = int(time.time()), request.runtime.settings.heartbeat_seconds
    listed = edges.list_edges(request.runtime.accounts, workspace.archive_id)
    return {"now": now, "edges": [_described(edge, now, seconds) for edge in listed]}


def replace_key(request: Request) -> None:
    """An edge replaces its own key: it tells the SHA-256 of the new one, which it has written down already."""
    edge, archive_id = _edge(request)
    if edge.id != request.parameters["edge"]:
        raise ForbiddenError("an edge replaces its own key alone")
    replacement = request.text("sha256")
    if not _SHA256.fullmatch(replacement):
        raise BadRequestError("sha256: 64 hexadecimal digits are needed")
    accounts, gatekeeper = request.runtime.accounts, request.runtime.gatekeeper
    keys.replace_secret(accounts, archive_id, edge.id, presented=bearer(request.headers), replacement=replacement)
    gatekeeper.forget()
    gatekeeper.audit.record(edge, Action.MANAGE, archive_id, detail="edge key replaced")


def _edge(request: Request) -> tuple[Principal, ArchiveId]:
    principal, workspace = request.open(Action.STORE)
    if principal.kind != "edge":
        raise ForbiddenError("only an edge may do that, with its own key")
    return principal, workspace.archive_id


def _described(edge: Edge, now: int, heartbeat_seconds: int) -> dict[str, Any]:
    health = heartbeat.unpack(edge.health)
    findings = [*_silence(edge, now, heartbeat_seconds), *(health["findings"] if health else ())]
    levels = {finding["level"] for finding in findings}
    return {
        "edge": edge.edge_id,
        "name": edge.name,
        "version": edge.version,
        "enrolled_at": edge.enrolled_at,
        "heard_at": edge.heard_at,
        "level": next((level for level in ("red", "amber") if level in levels), "green"),
        "findings": findings,
        "health": health,
    }


def _silence(edge: Edge, now: int, heartbeat_seconds: int) -> list[dict[str, Any]]:
    """``value`` is how long, in seconds."""
    if edge.heard_at is None:
        return [{"code": "never_heard", "level": "amber", "value": now - edge.enrolled_at}]
    silent = now - edge.heard_at
    if silent < SILENT_BEATS * heartbeat_seconds:
        return []
    level = "red" if silent >= SILENT_LONG_BEATS * heartbeat_seconds else "amber"
    return [{"code": "silent", "level": level, "value": silent}]
