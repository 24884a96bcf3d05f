"""What is STAT."""

from __future__ import annotations

from edge_forwarder.config import UploadConfig
from edge_forwarder.dicom.peek import Identity
from edge_forwarder.upload.urgency import Urgency


def identity(modality: str = "CT", priority: str = "") -> Identity:
    return Identity("2.25.1", "2.25.11", "2.25.111", "1.2", "1.2.840.10008.1.2.1", modality, 1, priority)


def test_what_is_stat_is_said_by_device_modality_or_image() -> None:
    """And an old PACS that is emptied goes last."""
    urgency = Urgency.of(UploadConfig(stat_devices=("ER-CT ",), stat_modalities=("xa",), bulk_devices=("OLDPACS",)))
    assert urgency.is_stat("ER-CT", identity())
    assert urgency.is_stat("LAB", identity("XA"))
    assert urgency.is_stat("CT1", identity(priority="STAT"))
    assert not urgency.is_stat("CT1", identity(priority="HIGH"))
    assert not urgency.is_stat("CT1", identity())
    assert (urgency.is_bulk("OLDPACS "), urgency.is_bulk("CT1")) == (True, False)
    assert not Urgency.of(UploadConfig(stat_priorities=())).is_stat("CT1", identity(priority="STAT"))
