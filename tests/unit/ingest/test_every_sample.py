"""Every sample ends as stored, byte for byte, or in quarantine with a reason; nothing hangs, nothing is dropped."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.conftest import sample_files, sample_id
from tests.support.workspaces import QUICK, Bench, every_byte_is_there

from maypacs import arrivals
from maypacs.index import contents
from maypacs.ingest import ingest_object
from maypacs.uids import Uid


def known_failures() -> dict[str, str]:
    """The checked-in list of what cannot be stored, with the reasons."""
    lines = (Path(__file__).parents[2] / "support" / "sample_failures.csv").read_text().splitlines()[2:]
    return dict(line.split(",") for line in lines)


FAILURES = known_failures()


@pytest.mark.parametrize("path", sample_files(), ids=sample_id)
def test_a_sample_is_stored_or_quarantined_with_a_reason(path: Path, tmp_path: Path) -> None:
    """Ingest of the file alone, as it was copied into the inbox."""
    bench = Bench(tmp_path)
    workspace = bench.workspace()
    body = path.read_bytes()
    arrival = arrivals.new_arrival()
    receipt = ingest_object(workspace, bench.upload(arrival, body), size=len(body), effects=QUICK)
    assert receipt is not None
    assert list(bench.inbox.list("")) == []
    if sample_id(path) not in FAILURES:
        assert receipt.state == "indexed"
        assert receipt.counts == {"stored": 1}
        (study,) = receipt.studies
        held = contents.study_contents(workspace, Uid(study))
        (series,) = held.series
        assert list(every_byte_is_there(workspace, Uid(study), series.summary.series_instance_uid).values()) == [body]
    else:
        assert receipt.state == "quarantined"
        ((_, reason, _),) = receipt.failures
        assert reason == FAILURES[sample_id(path)]
        kept = [head.key for head in bench.objects.list("quarantine/")]
        assert kept == [f"quarantine/hosp1/{arrival}", f"quarantine/hosp1/{arrival}.reason.json"]
        assert bench.objects.get(kept[0]) == body
