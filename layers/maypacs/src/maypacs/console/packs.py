"""Where the frames of a series lie in its packs: our viewer reads these as streams, one request a pack, instead of
asking for every frame. What cannot be read so (a pack that holds what is no longer current, frames in fragments, big
endian or bit-packed ones) is left out and asked for by the frame (PS3.18 10.4.1.1.6).
"""

from __future__ import annotations

from typing import Any

from maypacs.access.principals import Action
from maypacs.console.request import Request
from maypacs.dicom.frames import FrameTable
from maypacs.index.contents import InstanceRef, series_contents
from maypacs.uids import uid

#: Runs of one answer: 30 bytes each in JSON, so that it stays well below what a gateway lets through.
MAX_RUNS = 50_000


def series_packs(request: Request) -> dict[str, Any]:
    """``{"packs": [{"url", "size", "instances": [{"sop_instance_uid", "transfer_syntax_uid", "runs"}]}]}``.

    A run is ``[offset, length, count]``: so many frames of so many bytes one after the other, the first at this offset
    of the pack. The url is signed, and good for as long as any redirect. Raises NotFoundError, GoneError.
    """
    request.caller()  # before anything of the request is looked at
    study, series = (uid(request.parameters[name]) for name in ("study", "series"))
    principal, workspace = request.open(Action.READ, study)
    contents = series_contents(workspace, study, series)
    clean = {pack.pack_id: pack for pack in contents.packs if pack.clean}
    found: dict[str, list[dict[str, Any]]] = {}
    left = MAX_RUNS
    for ref in sorted(contents.instances, key=lambda ref: (ref.pack_id, ref.offset)):
        runs = _runs(ref) if ref.pack_id in clean else []
        if not runs or len(runs) > left:
            continue
        left -= len(runs)
        entry = {"sop_instance_uid": ref.sop_instance_uid, "transfer_syntax_uid": ref.transfer_syntax_uid}
        found.setdefault(ref.pack_id, []).append({**entry, "runs": runs})
    sign = request.runtime.blob_signer.sign
    packs = [
        {
            "url": sign(workspace.store.pack_key(study, series, pack.pack_id)),
            "size": pack.size,
            "instances": found[pack.pack_id],
        }
        for pack in clean.values()
        if pack.pack_id in found
    ]
    request.runtime.gatekeeper.audit.record(principal, Action.READ, workspace.archive_id, study)
    return {"packs": packs}


def _runs(ref: InstanceRef) -> list[list[int]]:
    """Empty: no pixel data, or no frames that are what a frame request would answer, byte for byte."""
    if ref.frame_table is None:
        return []
    return [[ref.offset + offset, length, count] for offset, length, count in FrameTable.decode(ref.frame_table).runs()]
