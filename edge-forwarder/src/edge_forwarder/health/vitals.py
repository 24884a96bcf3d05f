"""The numbers of one moment, from the parts of a running edge. No patient's data: counts, sizes, times, AE titles."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final

from edge_forwarder import __version__
from edge_forwarder.config import Config
from edge_forwarder.databases.commitments import CommitmentState
from edge_forwarder.databases.database import was_put_aside
from edge_forwarder.databases.journal import Journal, PackState
from edge_forwarder.databases.ledger import Ledger
from edge_forwarder.dimse import tls
from edge_forwarder.dimse.sightings import Sightings
from edge_forwarder.errors import ConfigError, SpoolFullError
from edge_forwarder.health.host import Host
from edge_forwarder.spool import attention
from edge_forwarder.spool.folder import Spool
from edge_forwarder.spool.naming import SpooledFile
from edge_forwarder.upload.line import Line

#: Rates are counted over so long (seconds).
_RATE_SECONDS: Final = 3600.0
#: A pack that failed so often, while the cloud answers, will not go up by itself.
_FAILED_OFTEN: Final = 3


@dataclass(frozen=True, slots=True)
class Parts:
    """Where the numbers come from."""

    config: Callable[[], Config]
    spool: Spool
    journal: Journal
    ledger: Ledger
    line: Line
    sightings: Sightings
    associations: Callable[[], int]
    not_taken: Callable[[], int]
    """How many files wait that the keeper could not take in. Raises OSError, sqlite3.Error."""


class Vitals:
    """One thread collects; it remembers the last hour's counts."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._host = Host(parts.spool.folder)
        self._started_at = time.time()
        facts = parts.journal.facts()
        first = (time.monotonic(), facts.get("received", 0), facts.get("uploaded_bytes", 0))
        self._counts: deque[tuple[float, int, int]] = deque([first])
        self.clock_offset: float | None = None
        """Ours less the cloud's, in seconds; None until it was compared."""

    def collect(self) -> dict[str, Any]:
        """Times in seconds since the epoch, sizes in bytes; what cannot be told is None. Raises sqlite3.Error,
        OSError.
        """
        parts, now = self._parts, time.time()
        config, facts, queues = parts.config(), parts.journal.facts(), parts.journal.queues()
        times = (SpooledFile(queue.oldest, 0).received_at for queue in queues.values() if queue.oldest)
        oldest = min((at for at in times if at is not None), default=None)
        uplink, uplink_since = parts.line.uplink
        host = self._host.look()
        commitments = parts.ledger.commitment_counts()
        failed = parts.journal.packs(PackState.FAILED)
        return {
            "version": __version__,
            "at": now,
            "started_at": self._started_at,
            **asdict(host),
            "waiting": sum(queue.instances for queue in queues.values()),
            "waiting_bytes": sum(queue.bytes for queue in queues.values()),
            "oldest_seconds": None if oldest is None else max(0.0, round(now - oldest, 1)),
            "not_taken": parts.not_taken(),
            **self._rates(facts.get("received", 0), facts.get("uploaded_bytes", 0)),
            "received_at": facts.get("last_received_at"),
            "uploaded_at": facts.get("last_upload_at"),
            "indexed_at": facts.get("last_indexed_at"),
            "received_total": facts.get("received", 0),
            "uploaded_bytes_total": facts.get("uploaded_bytes", 0),
            "indexed_total": facts.get("indexed", 0),
            "refused_total": facts.get("refused", 0),
            "failed_uploads_total": facts.get("failed_uploads", 0),
            "missing_total": facts.get("missing", 0),
            "refusing": _is_full(parts.spool),
            "attention": attention.count(parts.spool.attention),
            "failing": sum(1 for pack in failed if pack.attempts >= _FAILED_OFTEN),
            "ledger_put_aside": int(was_put_aside(parts.spool.layout.ledger)),
            "commitments_untold": commitments.get(CommitmentState.DEAD, 0),
            "uplink": str(uplink),
            "uplink_since": uplink_since,
            "clock_offset_seconds": self.clock_offset,
            "has_certificate": bool(config.tls.certificate),
            "certificate_days_left": _days_left(config),
            "associations": parts.associations(),
            "devices": [
                {name: value for name, value in asdict(sighting).items() if value not in (None, "")}
                for sighting in parts.sightings.devices(device.ae_title for device in config.devices)
            ],
        }

    def _rates(self, received: int, uploaded: int) -> dict[str, int]:
        """How much more it is than an hour ago, or than at the start."""
        counts, now = self._counts, time.monotonic()
        counts.append((now, received, uploaded))
        while now - counts[0][0] > _RATE_SECONDS:
            counts.popleft()
        return {
            "received_per_hour": max(0, received - counts[0][1]),
            "uploaded_bytes_per_hour": max(0, uploaded - counts[0][2]),
        }


def _is_full(spool: Spool) -> bool:
    try:
        spool.check_room(0)
    except SpoolFullError:
        return True
    return False


def _days_left(config: Config) -> float | None:
    if not config.tls.certificate:
        return None
    try:
        return round(tls.days_left(config.folder / config.tls.certificate), 2)
    except ConfigError:
        return None
