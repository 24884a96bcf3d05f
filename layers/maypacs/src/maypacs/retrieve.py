"""Retrieve of a study, a series or an instance (PS3.18 10.4, Table 10.4.1-1): as stored, or converted.

As stored, when Accept allows every stored transfer syntax: what is small is answered inline, what is large is a
redirect to a pack, or to several packs joined by the storage itself (protocols §7). Otherwise each part is Explicit VR
Little Endian, or what Accept names; lossy parts stay as stored under the default (8.7.8), and what no decoder reads
does too. Of what Accept lists, the first that can be had is answered; of equals, the one that needs no conversion.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from maypacs.archive.objects import CopyRange
from maypacs.bulk_resources import bulk_of
from maypacs.conversion import EXPLICIT, converted, converted_one, iter_parts, location, part_type, possible
from maypacs.dicom import transfer_syntaxes
from maypacs.dicomweb.request import Request
from maypacs.errors import MayPACSError, NotAcceptableError
from maypacs.exports import export_assembled, export_boundary, export_join, export_name
from maypacs.http.answers import Answer, conditional, not_modified, redirect
from maypacs.http.media_types import DICOM, OCTETS, Choice, dicom_choices
from maypacs.http.multipart import content_type, part_close, part_head, write_multipart
from maypacs.index.contents import InstanceRef, PackInfo
from maypacs.pack.concatenate import PackExtent, plan
from maypacs.selection import Selection, first_of, pack_key, read_instance, read_range, select
from maypacs.steps import HEAD_BYTES
from maypacs.workspace import Workspace


def retrieve(request: Request, *, clock: Callable[[], float] = time.monotonic) -> Answer:
    """GET /studies/{s}, …/series/{se}, …/instances/{i}. Raises NotFoundError, GoneError, NotAcceptableError."""
    one = "instance" in request.has
    choices = dicom_choices(request.accept, single_allowed=one)
    selection = select(
        request.workspace,
        request.study,
        request.series if "series" in request.has else None,
        request.instance if one else None,
        request.version,
    )
    first_of(selection.instances)
    reasons: list[MayPACSError] = []
    for choice, target in _options(choices, selection, reasons):
        try:
            return _answer(request, selection, choice, target, clock)
        except NotAcceptableError as error:
            reasons.append(error)
    raise reasons[0]


def _answer(
    request: Request, selection: Selection, choice: Choice, target: str | None, clock: Callable[[], float]
) -> Answer:
    """One of the options. Raises NotAcceptableError when the instances cannot become what was named."""
    if target == OCTETS:
        return bulk_of(request, selection, choice, "bulkdata", clock)
    kind = "multi" if choice.multipart else "single"
    facts = (selection.version, target or "stored")
    etag = export_name(request.workspace.store, kind, *facts, study=request.study).rpartition("-")[2]
    if not_modified(request.if_none_match, etag):
        return conditional(Answer(200), etag, request.if_none_match)
    if target is not None and choice.multipart:
        return converted(request, selection.instances, target, etag, clock)
    if target is not None:
        return converted_one(request, selection.instances[0], target, etag, clock)
    if not choice.multipart:
        return _single_as_stored(request, selection.instances[0], etag)
    return _as_stored(request, selection, etag)


def _options(
    choices: Sequence[Choice], selection: Selection, reasons: list[MayPACSError]
) -> list[tuple[Choice, str | None]]:
    """What may be answered, best first, each with what it is converted to: None (as stored), "default", or a transfer
    syntax, or octets: bulk data alone (Table 10.4.4-1). `reasons`: why a choice is none."""
    stored = {ref.transfer_syntax_uid for ref in selection.instances}
    options: list[tuple[Choice, str | None]] = []
    for choice in choices:
        if choice.media_type == OCTETS:
            options.append((choice, OCTETS))
            continue
        if choice.media_type != DICOM:
            reasons.append(NotAcceptableError(f"{choice.media_type} is for metadata, not for instances"))
            continue
        named = {c.transfer_syntax for c in choices if c.multipart == choice.multipart and c.media_type == DICOM}
        if choice.transfer_syntax == "*" or (choice.transfer_syntax and stored <= named):
            options.append((choice, None))
        elif choice.transfer_syntax is None:
            as_it_is = all(uid == EXPLICIT or transfer_syntaxes.info(uid).lossy for uid in stored)
            options.append((choice, None if as_it_is else "default"))
        elif possible(choice.transfer_syntax):
            options.append((choice, None if stored == {choice.transfer_syntax} else choice.transfer_syntax))
        else:
            reasons.append(
                NotAcceptableError(
                    "acceptable here: transfer-syntax=*, Explicit VR Little Endian, the stored one, RLE, "
                    "JPEG Lossless, JPEG-LS or JPEG 2000 without loss"
                )
            )
    return sorted(options, key=lambda option: (-option[0].quality, option[1] is not None))


# -- as stored -------------------------------------------------------------------------------------------


def _single_as_stored(request: Request, ref: InstanceRef, etag: str) -> Answer:
    media_type = part_type(ref.transfer_syntax_uid)
    store = request.workspace.store
    if ref.length > request.settings.inline_limit:
        source = CopyRange(pack_key(request.workspace, ref), ref.offset, ref.length)
        if request.settings.assembles:
            key = export_assembled(store, etag, lambda: [source], media_type, study=request.study)
        else:
            name = export_name(store, "instance", etag, study=request.study)
            key = export_join(store, name, lambda: [source], media_type)
        return redirect(request.sign(key), etag=etag)
    body = read_range(request.workspace, ref, 0, ref.length)
    return conditional(Answer(200, {"Content-Type": media_type}, body), etag, None)


def _as_stored(request: Request, selection: Selection, etag: str) -> Answer:
    workspace = request.workspace
    if sum(ref.length + HEAD_BYTES for ref in selection.instances) <= request.settings.inline_limit:
        parts = iter_parts(request, _read_all(workspace, selection))
        body, media_type = write_multipart(parts, DICOM)
        return conditional(Answer(200, {"Content-Type": media_type}, body), etag, None)
    packs = _clean_packs(workspace, selection)
    if len(packs) == 1:
        return redirect(request.sign(packs[0].key), etag=etag)
    store = workspace.store
    name = export_name(store, "joined", etag, study=request.study)
    boundary = packs[0].boundary if packs else export_boundary(name)

    def pieces() -> Sequence[CopyRange | bytes]:
        if packs:
            return [CopyRange(span.key, span.offset, span.length) for span in plan(packs)]
        return _live_ranges(request, selection, boundary)

    media_type = content_type(DICOM, boundary)
    if request.settings.assembles:
        key = export_assembled(store, etag, pieces, media_type, study=request.study)
        return redirect(request.sign(key), etag=etag)
    return redirect(request.sign(export_join(store, name, pieces, media_type)), etag=etag)


def _clean_packs(workspace: Workspace, selection: Selection) -> list[PackExtent]:
    """The packs which, joined, are the selection and nothing else; empty when they are not (protocols §2, clean)."""
    chosen: list[tuple[PackInfo, PackExtent]] = []
    for series in selection.series:
        mine = series.instances if selection.whole else selection.instances
        where = {ref.pack_id: ref for ref in mine}
        for pack in series.packs:
            if pack.pack_id not in where:
                continue
            if not pack.clean or not (selection.whole or pack.count == 1):
                return []
            key = pack_key(workspace, where[pack.pack_id])
            chosen.append((pack, PackExtent(key, pack.size, pack.boundary)))
    joinable = all(pack.joinable for pack, _ in chosen) and len({pack.boundary for pack, _ in chosen}) == 1
    return [extent for _, extent in chosen] if len(chosen) == 1 or joinable else []


def _live_ranges(request: Request, selection: Selection, boundary: str) -> list[CopyRange | bytes]:
    """Every selected instance with a header of its own, out of whatever packs hold them."""
    root = f"/dicomweb/{request.workspace.archive_id}"  # an export is for every name that we are called by
    pieces: list[CopyRange | bytes] = []
    for ref in selection.instances:
        head = part_head(boundary, part_type(ref.transfer_syntax_uid), ref.length, location(root, ref))
        pieces += [head, CopyRange(pack_key(request.workspace, ref), ref.offset, ref.length), b"\r\n"]
    return [*pieces, part_close(boundary)]


def _read_all(workspace: Workspace, selection: Selection) -> Iterator[tuple[InstanceRef, bytes]]:
    """Instances in their order; neighbours in a pack are read in one request."""
    by_pack: dict[tuple[str, str], list[InstanceRef]] = {}
    for ref in selection.instances:
        by_pack.setdefault((ref.series_instance_uid, ref.pack_id), []).append(ref)
    spans: dict[tuple[str, str], tuple[int, bytes]] = {}
    for pack, refs in by_pack.items():
        low, high = min(r.offset for r in refs), max(r.offset + r.length for r in refs)
        if len(refs) > 1 and high - low <= 2 * sum(r.length for r in refs) + (1 << 16):
            spans[pack] = (low, read_range(workspace, refs[0], low - refs[0].offset, high - low))
    for ref in selection.instances:
        span = spans.get((ref.series_instance_uid, ref.pack_id))
        if span is None:
            yield ref, read_instance(workspace, ref)
        else:
            start = ref.offset - span[0]
            yield ref, span[1][start : start + ref.length]
