"""The edge is replaced by a newer one while images wait: the spool of the first version that knew commitments."""

from __future__ import annotations

import zipfile
from io import BytesIO
from pathlib import Path

import pydicom
import pytest
from tests.support.commitment_scu import CommitmentSCU
from tests.support.processes import wait_until
from tests.support.stub_cloud import StubCloud
from tests.support.stub_edge import StubEdge

pytestmark = pytest.mark.e2e

#: Made by that version itself (journal 2, ledger 1), its cloud away, and killed: three images in a pack that has failed
#: and a storage commitment, "2.25.700", that waits for them; a fourth image that has just come. Synthetic.
SPOOL = Path(__file__).with_name("spool-of-the-first-version.zip")


@pytest.mark.parametrize("journal", [True, False], ids=["as it was", "without its journal"])
def test_what_an_earlier_version_acknowledged_and_promised_is_kept(
    tmp_path: Path, cloud: StubCloud, journal: bool
) -> None:
    """Each image goes up as it lies there, once, and the commitment asked of the old one is reported by the new one."""
    with CommitmentSCU(0) as scu:
        scu.listen()
        device = f'\n[[device]]\nae_title = "THU-CT1"\nhost = "127.0.0.1"\nport = {scu.port}\n'
        # The spool is as old as it is.
        edge = StubEdge(tmp_path / "edge", cloud, extra="keep_days = 36500.0", devices=device)
        with zipfile.ZipFile(SPOOL) as old:
            old.extractall(edge.folder)
        if not journal:
            (edge.folder / "spool" / "journal.sqlite").unlink()
        waiting = {ds.SOPInstanceUID: ds for ds in map(pydicom.dcmread, sorted(edge.received.glob("*.dcm")))}
        assert len(waiting) == 4
        with edge:
            wait_until(lambda: not edge.spooled(), what="an empty spool")
            event, committed, failed, _ = scu.wait("2.25.700")
            assert (event, sorted(committed), failed) == (1, [f"2.25.11.{n}" for n in (1, 2, 3)], {})
            status = edge.status()
        assert (status["waiting"]["instances"], status["attention"], status["commitments"]["done"]) == (0, [], 1)
    sent = cloud.parts()
    assert sorted(part.sop for part in sent) == sorted(waiting)
    assert all(pydicom.dcmread(BytesIO(part.data)) == waiting[part.sop] for part in sent)
