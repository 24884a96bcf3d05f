"""[commitment]: storage commitment."""

from __future__ import annotations

from dataclasses import dataclass

from edge_forwarder.config.reading import Section


@dataclass(frozen=True, slots=True)
class CommitmentConfig(Section):
    """[commitment]: storage commitment."""

    same_association: bool = True
    """Report on the association that asked, while it is open; else always on a new one."""
    keep_days: float = 30.0
    """How long to remember what was sent, after it was indexed, and what was reported."""
    retry_max_seconds: float = 600.0
    """Longest pause between two tries to report to a device."""
    give_up_days: float = 14.0
    """A device that takes no report for so long is not tried any more."""
    max_instances: int = 100_000
    """The most that one request may name."""
