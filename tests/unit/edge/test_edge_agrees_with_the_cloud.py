"""The edge shares no code with the cloud, so a test says that they mean the same pack."""

from __future__ import annotations

from pathlib import Path

from tests.support.stub_edge import dataset_bytes, write_series

from edge_forwarder.dicom.part10 import file_meta
from edge_forwarder.dicom.peek import identify
from edge_forwarder.packing import packs, planner
from maypacs.dicom.header import parse_header
from maypacs.pack import grammar
from maypacs.settings import GATEWAY_INLINE_LIMIT
from maypacs.uids import archive_id, uid


def spooled(path: Path) -> Path:
    """The file as the edge would have written it."""
    data, meta = path.read_bytes(), identify(path)
    path.write_bytes(
        file_meta(meta.sop_class_uid, meta.sop_instance_uid, meta.transfer_syntax_uid) + dataset_bytes(data)
    )
    return path


def test_the_clouds_strict_reader_takes_an_edges_pack(tmp_path: Path) -> None:
    """Same grammar to the byte: boundary, parts, UIDs, and the same bytes as the cloud's own writer makes."""
    files = [spooled(path) for path in write_series(tmp_path, 5)]
    boundary = grammar.boundary(b"secret", "hosp1", "2.25.1")
    parts, instances = [], []
    for path in files:
        i = identify(path)
        uids = (i.study_instance_uid, i.series_instance_uid, i.sop_instance_uid)
        parts.append(packs.Part(*uids, i.transfer_syntax_uid, path, path.stat().st_size))
        instances.append(grammar.Instance(path.read_bytes(), i.transfer_syntax_uid, *map(uid, uids)))
    body = packs.pack("hosp1", tuple(parts), boundary)
    data = b"".join(body.chunks())
    scanned = grammar.scan_pack(data)
    assert scanned.boundary == boundary
    assert [data[p.offset : p.offset + p.length] for p in scanned.parts] == [path.read_bytes() for path in files]
    assert grammar.one_series(scanned.parts) == ("2.25.1", "2.25.11")
    written = grammar.write_pack(instances, archive_id=archive_id("hosp1"), secret=b"secret")
    assert written.data == data
    assert written.content_type == body.content_type


def test_both_read_the_same_identity(tmp_path: Path) -> None:
    """What the edge writes into Content-Location is what ingest finds in the data set."""
    (path,) = write_series(tmp_path, 1)
    ours, theirs = identify(spooled(path)), parse_header(path.read_bytes())
    assert ours.study_instance_uid == theirs.study_instance_uid
    assert ours.series_instance_uid == theirs.series_instance_uid
    assert ours.sop_instance_uid == theirs.sop_instance_uid
    assert ours.transfer_syntax_uid == theirs.transfer_syntax_uid


def test_the_limits_are_the_clouds() -> None:
    """64 MiB, 1,000 instances, and the size above which an instance travels alone."""
    limits = planner.Limits()
    assert (limits.max_bytes, limits.max_instances) == (grammar.MAX_BYTES, grammar.MAX_INSTANCES)
    assert limits.single_bytes == GATEWAY_INLINE_LIMIT
    assert planner.PART_OVERHEAD > grammar.MAX_HEADER_BYTES + 70
