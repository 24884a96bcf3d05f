"""What edges call, and how people enrol them."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

from maypacs import known, resumable, uploads
from maypacs.access import accounts, edges
from maypacs.access.lockout import ADDRESS, Lockout
from maypacs.access.principals import Action, Principal
from maypacs.archive.grants import UploadGrant
from maypacs.console.request import Json, Request
from maypacs.errors import BadRequestError, NotFoundError
from maypacs.pack import grammar
from maypacs.uids import uid
from maypacs.workspace import Workspace

MAX_BOUNDARIES = 100


def add_enrolment_code(request: Request) -> Json:
    request.open(Action.MANAGE)  # before anything of the request is looked at
    name = request.text("name", "")
    principal, archive_id = request.manage("enrolment code")
    made = edges.add_enrolment_code(request.runtime.accounts, archive_id, name=name, created_by=str(principal))
    return {"code": made.code, "archive": made.archive_id, "expires_at": made.expires_at}


def list_edges(request: Request) -> Json:
    _, archive_id = request.manage()
    return {
        "edges": [
            {
                "edge": edge.edge_id,
                "archive": archive_id,
                "name": edge.name,
                "version": edge.version,
                "enrolled_at": edge.enrolled_at,
            }
            for edge in edges.list_edges(request.runtime.accounts, archive_id)
        ]
    }


def remove_edge(request: Request) -> None:
    edge = request.parameters["edge"]
    _, archive_id = request.manage(f"edge removed: {edge[:32]}")
    edges.remove_edge(request.runtime.accounts, archive_id, edge)
    request.runtime.gatekeeper.forget()


def enrol(request: Request) -> Json:
    """The code is the credential; guesses are counted by address."""
    code, name, version = request.text("code"), request.text("name", ""), request.text("version", "")
    table = request.runtime.accounts
    lockout = Lockout(table, time.time)
    lockout.attempt(ADDRESS, request.address)
    enrolment = edges.enrol(table, code, name=name, version=version)
    lockout.succeeded(ADDRESS, request.address, forget=False)
    archive_id = enrolment.edge.archive_id
    edge = Principal("edge", enrolment.edge.edge_id, enrolment.edge.name)
    request.runtime.gatekeeper.audit.record(edge, Action.MANAGE, archive_id, detail="edge enrolled")
    archive = accounts.find_archive(table, archive_id)
    return {
        "edge": enrolment.edge.edge_id,
        "key": enrolment.key.key,
        "archive": archive_id,
        "archive_name": archive.name if archive else archive_id,
        "limits": {
            "pack_bytes": grammar.MAX_BYTES,
            "pack_instances": grammar.MAX_INSTANCES,
            "own_pack_above": request.runtime.settings.inline_limit,
            "object_bytes": uploads.MAX_OBJECT_BYTES,
            "object_bytes_in_parts": resumable.MAX_BYTES,
            "grant_seconds": uploads.GRANT_SECONDS,
        },
    }


def boundaries(request: Request) -> Json:
    """The boundary that packs of a study must have to be taken as they are (protocols: pack grammar)."""
    _, workspace = request.open(Action.STORE)
    studies = request.texts("study_instance_uids", at_most=MAX_BOUNDARIES)
    return {"boundaries": {study: workspace.store.boundary(uid(study)) for study in studies}}


def grant_upload(request: Request) -> Json:
    """Leave to upload. Whoever names the instances of the body is told first which of them need not be sent: the others
    are another body, so nothing is granted then.
    """
    principal, workspace = request.open(Action.STORE)
    if there := _named_and_known(request, workspace):
        return there
    granted = uploads.grant_upload(
        workspace,
        request.runtime.accounts,
        request.runtime.upload_granter,
        principal,
        length=request.integer("length"),
        sha256_hex=request.text("sha256"),
        content_type=request.text("content_type"),
        arrival=request.optional_text("arrival"),
    )
    return {"arrival": granted.arrival, **_grant(granted.grant)}


def _grant(grant: UploadGrant) -> Json:
    return {
        "url": grant.url,
        "method": grant.method,
        "headers": dict(grant.headers),
        "expires_at": grant.expires,
    }


def begin_in_parts(request: Request) -> Json:
    """An upload in parts, new or resumed: which parts storage has already. `known` as of `grant_upload`."""
    principal, workspace = request.open(Action.STORE)
    if there := _named_and_known(request, workspace):
        return there
    begun = resumable.begin(
        workspace,
        request.runtime.accounts,
        request.runtime.part_uploads,
        principal,
        length=request.integer("length"),
        sha256_hex=request.text("sha256"),
        content_type=request.text("content_type"),
        arrival=request.optional_text("arrival"),
    )
    return dataclasses.asdict(begun)


def grant_parts(request: Request) -> Json:
    principal, workspace = request.open(Action.STORE)
    wanted = [_part(entry) for entry in request.entries("parts", at_most=resumable.MAX_PARTS)]
    granted = resumable.grant_parts(
        workspace,
        request.runtime.accounts,
        request.runtime.upload_granter,
        principal,
        request.parameters["arrival"],
        wanted,
    )
    return {"parts": [{"number": number, **_grant(grant)} for (number, _), grant in zip(wanted, granted, strict=True)]}


def _part(entry: Any) -> tuple[int, str]:
    if not isinstance(entry, dict) or type(entry.get("number")) is not int or not isinstance(entry.get("sha256"), str):
        raise BadRequestError("parts: each needs a number and a sha256")
    return entry["number"], entry["sha256"]


def complete_parts(request: Request) -> Json:
    principal, workspace = request.open(Action.STORE)
    runtime, arrival = request.runtime, request.parameters["arrival"]
    resumable.complete(workspace, runtime.accounts, runtime.part_uploads, principal, arrival)
    return {"arrival": arrival, "complete": True}


def upload_status(request: Request) -> Json:
    _, workspace = request.open(Action.STORE)
    status = uploads.upload_status(workspace, request.runtime.accounts, request.parameters["arrival"])
    if status.state == "unknown":
        raise NotFoundError("no such upload")
    return dataclasses.asdict(status)


def upload_statuses(request: Request) -> Json:
    _, workspace = request.open(Action.STORE)
    asked = request.texts("arrivals", at_most=uploads.MAX_STATUSES)
    statuses = (uploads.upload_status(workspace, request.runtime.accounts, arrival) for arrival in asked)
    return {"uploads": [dataclasses.asdict(status) for status in statuses]}


def known_instances(request: Request) -> Json:
    """Which instances of one series need not be sent; of the others, when that arrived which is current under their
    UIDs. Digests are of data sets, as an upload's instances have them.
    """
    _, workspace = request.open(Action.STORE)
    found = _held(request, workspace)
    there = {one.sop_instance_uid for one, held in found if held.known}
    others = {one.sop_instance_uid: held.arrival for one, held in found if held.arrival}
    return _known(found) | {
        "others": [{"sop_instance_uid": sop, "arrival": at} for sop, at in others.items() if sop not in there]
    }


def _named_and_known(request: Request, workspace: Workspace) -> Json:
    """Empty if nothing is named, or known."""
    answer = _known(_held(request, workspace)) if "instances" in request.body else {}
    return answer if answer.get("known") else {}


def _known(found: list[tuple[known.Asked, known.Held]]) -> Json:
    """`known`: SOPInstanceUIDs, each once. An instance may be named in several versions: `known_at` are the places,
    from 0, of those named that the archive has, one for each.
    """
    at = {one.sop_instance_uid: n for n, (one, held) in enumerate(found) if held.known}
    return {"known": list(at), "known_at": list(at.values())}


def _held(request: Request, workspace: Workspace) -> list[tuple[known.Asked, known.Held]]:
    study, series = uid(request.text("study_instance_uid")), uid(request.text("series_instance_uid"))
    asked = [_asked(entry) for entry in request.entries("instances", at_most=known.MAX_INSTANCES)]
    return list(zip(asked, known.held_instances(workspace, study, series, asked), strict=True))


def _asked(entry: Any) -> known.Asked:
    members = ("sop_instance_uid", "transfer_syntax_uid", "sha256")
    if not isinstance(entry, dict) or not all(isinstance(entry.get(name), str) for name in members):
        raise BadRequestError(f"instances: each needs the texts {', '.join(members)}")
    return known.Asked(uid(entry["sop_instance_uid"]), entry["transfer_syntax_uid"], entry["sha256"])
