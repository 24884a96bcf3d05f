"""What a 500-slice CT costs: write units of the table and requests to the object store (the project's goals)."""

from __future__ import annotations

from pathlib import Path

from tests.support.instances import slice_of
from tests.support.workspaces import QUICK, Bench

from maypacs import arrivals, incoming
from maypacs.incoming import Incoming
from maypacs.ingest import ingest_object
from maypacs.pack import grammar
from maypacs.workspace import Workspace

STUDY = "1.2.840.113619.2.55.3.604688119.971.1449044545.455"
SERIES = "1.2.840.113619.2.55.3.604688119.971.1449044545.456.3"


def edge_pack(workspace: Workspace, numbers: range) -> bytes:
    """As an edge makes it: the archive's boundary, by instance number."""
    read = [incoming.read(slice_of(STUDY, SERIES, number)) for number in numbers]
    parts = [
        grammar.Instance(each.data, each.transfer_syntax, each.study, each.series, each.instance)
        for each in read
        if isinstance(each, Incoming)
    ]
    return grammar.write_pack(parts, archive_id=workspace.archive_id, secret=workspace.store.pack_secret).data


def test_a_500_slice_ct_of_five_packs_costs_at_most_90_write_units_and_20_requests(tmp_path: Path) -> None:
    """Receipts included; each pack is copied by storage, its bytes are never sent again."""
    bench = Bench(tmp_path)
    workspace = bench.workspace()
    packs = [edge_pack(workspace, range(first, first + 100)) for first in range(1, 501, 100)]
    keys = [bench.upload(arrivals.new_arrival(), pack) for pack in packs]
    bench.inbox.calls.clear()
    for key, pack in zip(keys, packs, strict=True):
        receipt = ingest_object(workspace, key, size=len(pack), effects=QUICK)
        assert receipt is not None
        assert receipt.counts == {"stored": 100}
    assert workspace.table.consumed.write_units <= 90
    assert bench.objects.calls + bench.inbox.calls == {"get": 5, "copy": 5, "put": 5, "delete": 5}
