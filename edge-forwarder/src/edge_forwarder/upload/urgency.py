"""What goes before everything else, and what after: by device, by modality, or by what the image says of its order.

Images seldom say: Requested Procedure Priority (0040,1003) is an attribute of the worklist that some modalities copy,
as they did the retired Study Priority ID (0032,000C). Hence the two other rules.
"""

from __future__ import annotations

from dataclasses import dataclass

from edge_forwarder.config import UploadConfig
from edge_forwarder.dicom.peek import Identity


@dataclass(frozen=True, slots=True)
class Urgency:
    devices: frozenset[str] = frozenset()
    bulk: frozenset[str] = frozenset()
    modalities: frozenset[str] = frozenset()
    priorities: frozenset[str] = frozenset()

    @classmethod
    def of(cls, config: UploadConfig) -> Urgency:
        return cls(
            frozenset(title.strip() for title in config.stat_devices),
            frozenset(title.strip() for title in config.bulk_devices),
            frozenset(modality.strip().upper() for modality in config.stat_modalities),
            frozenset(priority.strip().upper() for priority in config.stat_priorities),
        )

    def is_stat(self, ae_title: str, identity: Identity) -> bool:
        return (
            ae_title.strip() in self.devices
            or identity.modality in self.modalities
            or identity.priority in self.priorities
        )

    def is_bulk(self, ae_title: str) -> bool:
        """Whether nobody waits for what this device sends: an old PACS that is emptied."""
        return ae_title.strip() in self.bulk
