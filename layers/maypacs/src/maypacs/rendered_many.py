"""Rendered studies, series and lists of frames (PS3.18 10.4.1.1.3, Table 10.4.4-1): a multipart, one part each.

Each part is what …/instances/{i}/rendered gives in the first wanted media type that the instance has; Content-Location
says whose it is. Instances that have none of the wanted types, or no rendering at all, have no part, and `Warning: 299`
counts them. What does not fit the gateway is made once, in steps, as conversions are (`steps`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from maypacs.dicomweb.request import Request
from maypacs.errors import NotAcceptableError, NotFoundError, NotSupportedError, PixelError, TooLargeError
from maypacs.exports import export_name
from maypacs.http.answers import Answer, conditional, not_modified
from maypacs.http.media_types import part_choice, rendered_part_types
from maypacs.http.multipart import OutPart
from maypacs.http.urls import instance_url
from maypacs.index.contents import InstanceRef
from maypacs.rendered import RENDERER, rendered_body
from maypacs.rendering_parameters import parse_rendering
from maypacs.resource_kinds import IMAGE_TYPES, available_types
from maypacs.selection import first_of, select
from maypacs.steps import in_steps


@dataclass(frozen=True, slots=True)
class Planned:
    """One part that is to be drawn."""

    ref: InstanceRef
    media_type: str
    frame: int | None = None  #: None: the instance

    @property
    def path(self) -> dict[str, str]:
        ref = self.ref
        return {"study": ref.study_instance_uid, "series": ref.series_instance_uid, "instance": ref.sop_instance_uid}

    def location(self, root: str) -> str:
        ref = self.ref
        base = instance_url(root, ref.study_instance_uid, ref.series_instance_uid, ref.sop_instance_uid)
        return f"{base}/frames/{self.frame}/rendered" if self.frame else f"{base}/rendered"


Plan = Sequence[Planned]


def retrieve_rendered_many(request: Request, *, clock: Callable[[], float] = time.monotonic) -> Answer:
    """GET /studies/{s}/rendered and …/series/{se}/rendered. Raises NotFoundError, NotAcceptableError, BusyError."""
    wanted = rendered_part_types(request.accept)
    series = request.series if "series" in request.has else None
    selection = select(request.workspace, request.study, series)
    first_of(selection.instances)
    chosen = [(ref, part_choice(wanted, available_types(ref))) for ref in selection.instances]
    plan = [Planned(ref, media_type) for ref, media_type in chosen if media_type]
    return _planned(request, plan, selection.version, clock, len(chosen))


def rendered_parts(
    request: Request,
    ref: InstanceRef,
    numbers: Sequence[int] | None,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Answer:
    """An instance, or a list of its frames, as a multipart. Raises NotAcceptableError, BusyError."""
    media_type = part_choice(rendered_part_types(request.accept), available_types(ref))
    plan = [Planned(ref, media_type, number) for number in numbers or (None,)] if media_type else []
    return _planned(request, plan, ref.digest.hex(), clock, len(plan))


def _planned(request: Request, plan: Plan, version: str, clock: Callable[[], float], asked: int) -> Answer:
    if not plan:
        raise NotAcceptableError("no instance has a rendering of the types that are accepted")
    for media_type in {each.media_type for each in plan} & set(IMAGE_TYPES):
        parse_rendering(request, media_type)  # what makes no sense is a bad request before anything is drawn
    query = sorted((name, *values) for name, values in request.query.items() if name != "accept")
    facts = (version, RENDERER, repr(query), ",".join(f"{p.ref.position}:{p.media_type}:{p.frame}" for p in plan))
    name = export_name(request.workspace.store, "rendered-many", *facts, study=request.study)
    etag = name.rpartition("-")[2]
    if not_modified(request.if_none_match, etag):
        return conditional(Answer(200), etag, request.if_none_match)
    return _answer(request, plan, name, etag, clock, asked)


def _answer(request: Request, plan: Plan, name: str, etag: str, clock: Callable[[], float], asked: int) -> Answer:
    drawn = 0

    def make(planned: Planned, root: str) -> list[OutPart]:
        nonlocal drawn
        part = _part(request, planned, root)
        drawn += part is not None
        return [part] if part else []

    costly = request.settings.inline_limit  # a picture says nothing of the work: whether it was done is looked at first
    answer = in_steps(request, plan, make, name, etag, plan[0].media_type, clock, stored_bytes=costly)
    if answer.status != 200:
        return answer
    if not drawn:
        raise NotFoundError("nothing here has a rendering")
    missing = f"299 MayPACS: {asked - drawn} instances have no such rendering"
    return replace(answer, headers={**answer.headers, "Warning": missing}) if asked > drawn else answer


def _part(request: Request, planned: Planned, root: str) -> OutPart | None:
    """None when the instance turns out to have no such rendering: no pixels, or none that can be read."""
    asked = replace(request, path=planned.path)
    try:
        body, full_type = rendered_body(asked, planned.ref, planned.media_type, planned.frame or 1)
    except (PixelError, NotFoundError, NotAcceptableError, NotSupportedError, TooLargeError):
        return None
    return OutPart(full_type, body, planned.location(root))
