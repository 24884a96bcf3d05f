"""Rendered studies, series and lists of frames (PS3.18 10.4.1.1.3, Table 10.4.4-1): a multipart, one part each.

Each part is what …/instances/{i}/rendered gives in the first wanted media type that the instance has; Content-Location
says whose it is. Instances that have none of the wanted types, or no rendering at all, have no part, and `Warning: 299`
counts them. What does not fit the gateway is made once, in steps of `SECONDS`, as conversions are (protocols §7).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from maypacs.archive.objects import CopyRange
from maypacs.archive.store import ArchiveStore
from maypacs.dicomweb.request import Request
from maypacs.errors import BusyError, NotAcceptableError, NotFoundError, NotSupportedError, PixelError, TooLargeError
from maypacs.exports import exists, export_boundary, export_name, spool
from maypacs.http.answers import Answer, conditional, not_modified, redirect
from maypacs.http.media_types import part_choice, rendered_part_types
from maypacs.http.multipart import OutPart, content_type, part_close, part_head, write_multipart
from maypacs.http.urls import instance_url
from maypacs.index.contents import InstanceRef
from maypacs.rendered import RENDERER, rendered_body
from maypacs.rendering_parameters import parse_rendering
from maypacs.resource_kinds import IMAGE_TYPES, available_types
from maypacs.selection import first_of, select

#: How long a request may draw before it says "come back" (API Gateway gives up at 29 s).
SECONDS = 18.0
_HEAD_BYTES = 512
_CHUNK = re.compile(r"\.([0-9]{6})-([0-9]{6})\Z")


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
    store, limit = request.workspace.store, request.settings.inline_limit
    if exists(store, name):
        return redirect(request.sign(store.export_key(name)), etag=etag)
    done, start = _chunks(store, name)
    deadline = clock() + SECONDS
    parts: list[tuple[Planned, OutPart]] = []
    size, position = 0, start
    while position < len(plan) and clock() <= deadline and start == 0 and size <= limit:
        part = _part(request, plan[position])
        position += 1
        if part is not None:
            parts.append((plan[position - 1], part))
            size += len(part.content) + _HEAD_BYTES
    if start == 0 and position == len(plan) and size <= limit:
        if not parts:
            raise NotFoundError("nothing here has a rendering")
        first = parts[0][1].content_type.partition(";")[0]
        body, header = write_multipart([part for _, part in parts], first)
        headers = {"Content-Type": header}
        if asked > len(parts):
            headers["Warning"] = f"299 MayPACS: {asked - len(parts)} instances have no such rendering"
        return conditional(Answer(200, headers, body), etag, None)
    key = _export(request, plan, name, (done, start, position), parts, lambda: clock() > deadline)
    return redirect(request.sign(key), etag=etag)


def _export(
    request: Request,
    plan: Plan,
    name: str,
    progress: tuple[list[CopyRange], int, int],
    parts: list[tuple[Planned, OutPart]],
    late: Callable[[], bool],
) -> str:
    """The key of the finished export; BusyError (and one more chunk) when it is not finished in time."""
    done, start, position = progress
    store, boundary = request.workspace.store, export_boundary(name)
    root = f"/dicomweb/{request.workspace.archive_id}"  # an export is for every name that we are called by
    media_type = content_type(plan[0].media_type, boundary)
    with spool() as file:

        def write(planned: Planned, part: OutPart) -> None:
            file.write(part_head(boundary, part.content_type, len(part.content), planned.location(root)))
            file.write(part.content)
            file.write(b"\r\n")

        for planned, part in parts:
            write(planned, part)
        parts.clear()
        while position < len(plan) and not late():
            made = _part(request, plan[position])
            if made is not None:
                write(plan[position], made)
            position += 1
        finished = position == len(plan)
        whole = finished and start == 0
        if whole:
            file.write(part_close(boundary))
        empty = file.tell() == 0
        file.seek(0)
        key = store.export_key(name) if whole else _chunk_key(store, name, start, position)
        if position > start:  # a chunk of nothing is written too: it says how far the work is
            store.objects.put(key, file, content_type=media_type)  # type: ignore[arg-type]
            done = [*done, *([] if empty else [CopyRange(key)])]
    if not finished:
        raise BusyError(f"being drawn: {position} of {len(plan)} instances are done", retry_after=1)
    if not whole:
        pieces: list[CopyRange | bytes] = [*done, part_close(boundary)]
        store.objects.join(pieces, store.export_key(name), content_type=media_type, metadata={})
    return store.export_key(name)


def _part(request: Request, planned: Planned) -> OutPart | None:
    """None when the instance turns out to have no such rendering: no pixels, or none that can be read."""
    asked = replace(request, path=planned.path)
    try:
        body, full_type = rendered_body(asked, planned.ref, planned.media_type, planned.frame or 1)
    except (PixelError, NotFoundError, NotAcceptableError, NotSupportedError, TooLargeError):
        return None
    return OutPart(full_type, body, planned.location(request.root))


def _chunk_key(store: ArchiveStore, name: str, start: int, end: int) -> str:
    return f"{store.export_key(name)}.{start:06}-{end:06}"


def _chunks(store: ArchiveStore, name: str) -> tuple[list[CopyRange], int]:
    """What earlier requests have left, without gaps, and the number of the first instance that is still to do."""
    found: list[CopyRange] = []
    reached = 0
    for head in store.objects.list(f"{store.export_key(name)}."):
        span = _CHUNK.search(head.key)
        if span and int(span[1]) == reached:
            found += [CopyRange(head.key)] if head.size else []
            reached = int(span[2])
    return found, reached
