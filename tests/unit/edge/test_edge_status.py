"""What the status tells."""

from __future__ import annotations

from pathlib import Path

from tests.support.stub_edge import write_ct

from edge_forwarder import config
from edge_forwarder.health.findings import WORDS
from edge_forwarder.spool.folder import Spool
from edge_forwarder.spool.naming import SpooledFile
from edge_forwarder.status_report import collect


def put(spool: Spool, folder: Path, number: int) -> SpooledFile:
    writer = spool.begin("THU-CT1")
    writer.write(write_ct(folder / f"{number}.dcm", sop=f"2.25.{number}", number=number).read_bytes())
    return writer.commit()


def test_the_status_can_be_told_whatever_lies_in_the_spool(spool: Spool, tmp_path: Path) -> None:
    """A name without a time, alone or first of several."""
    settings = config.parse({"cloud": {"url": "https://pacs.example.org"}, "spool": {"min_free_mib": 0}}, tmp_path)
    assert settings.spool_folder == spool.folder
    (spool.received / "0000.dcm").mkdir()
    (spool.received / "0001.dcm").write_bytes(b"x")
    assert collect(settings)["waiting"] == {"instances": 1, "bytes": 1, "oldest_age": None}
    put(spool, tmp_path, 1)
    waiting = collect(settings)["waiting"]
    assert waiting["instances"] == 2
    assert waiting["oldest_age"] >= 0
    assert "not_taken" in WORDS
