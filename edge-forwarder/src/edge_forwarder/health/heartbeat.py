"""The heartbeat: one thread that looks at everything once a minute, and tells the console.

Only the newest counts, so nothing is kept for a console that does not answer. It has a connection of its own, with
short waits: a long upload must not make the console think that this edge is dead.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from edge_forwarder.cloud.client import Cloud
from edge_forwarder.config import MIB, CloudConfig, Config
from edge_forwarder.databases.journal import Journal
from edge_forwarder.dimse.sightings import FACT, Sightings
from edge_forwarder.errors import CloudAwayError, CloudError, UnauthorizedError
from edge_forwarder.health.findings import Finding, Limits, judge
from edge_forwarder.health.vitals import Vitals
from edge_forwarder.logs import Log
from edge_forwarder.upload.line import Line, Uplink

#: The fact that `status` reads.
HEALTH: Final = "health"
_SECONDS: Final = 60.0
_BOUNDS: Final = (1.0, 3600.0)
_PATIENCE: Final = 10.0
#: What is for local use: the console has no use for it.
_LOCAL: Final = (
    "at",
    "uplink_since",
    "refusing",
    "has_certificate",
    "commitments_untold",
    "not_taken",
    "ledger_put_aside",
)


def patient(config: CloudConfig) -> CloudConfig:
    """The same cloud, for who cannot wait long."""
    return replace(config, connect_timeout_seconds=_PATIENCE, read_timeout_seconds=_PATIENCE)


class Heartbeat:
    """Others may ask for `latest` at any moment."""

    def __init__(
        self,
        config: Callable[[], Config],
        vitals: Vitals,
        sightings: Sightings,
        cloud: Cloud,
        journal: Journal,
        line: Line,
        log: Log,
    ) -> None:
        self._config, self._vitals, self._sightings = config, vitals, sightings
        self._cloud, self._journal, self._line, self._log = cloud, journal, line, log
        self._latest: tuple[dict[str, Any], list[Finding]] | None = None
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._asked: float | None = None
        """What the cloud wants as the pause, in seconds."""
        self._well = True
        self.told: Callable[[], None] = lambda: None
        """Called after each heartbeat that the console took; set by the composition."""
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    @property
    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._sightings.recall(self._journal.facts())
        self._thread.start()

    def stop(self, seconds: float = 2.0) -> None:
        self._over.set()
        if self._thread.is_alive():
            self._thread.join(seconds)
        with suppress(Exception):
            self._journal.set_fact(FACT, self._sightings.remembered())

    def look(self) -> tuple[dict[str, Any], list[Finding]]:
        """How everything is, now. Raises sqlite3.Error, OSError."""
        with self._lock:
            config = self._config()
            vitals = self._vitals.collect()
            limits = Limits(config.spool.min_free_mib * MIB, config.health.quiet_hours * 3600)
            return vitals, judge(vitals, limits, vitals["at"])

    def _run(self) -> None:
        while not self._over.wait(self._pause()):
            try:
                self._beat()
                self._well = True
            except Exception as error:  # the journal or the disk: said once, and tried again
                if self._well:
                    self._log.error("how the edge is cannot be told", why=f"{type(error).__name__}: {error}")
                self._well = False

    def _pause(self) -> float:
        """The first comes soon; then as often as the configuration says, or the cloud."""
        if self._latest is None:
            return 1.0
        mine = self._config().health.heartbeat_seconds
        return min(max(mine or self._asked or _SECONDS, _BOUNDS[0]), _BOUNDS[1])

    def _beat(self) -> None:
        self._latest = vitals, findings = self.look()
        told = as_json(vitals, findings)
        self._journal.set_fact(HEALTH, json.dumps(told))
        self._journal.set_fact(FACT, self._sightings.remembered())
        if self._config().health.heartbeat:
            self._tell({name: value for name, value in told.items() if name not in _LOCAL})

    def _tell(self, document: Mapping[str, Any]) -> None:
        before = time.time()
        try:
            answer = self._cloud.post(self._cloud.archive("heartbeats"), document)
            now, asked = float(answer["now"]), float(answer.get("next_seconds") or _SECONDS)
        except (KeyError, TypeError, ValueError):
            error: CloudError = CloudAwayError("the answer to the heartbeat is not the console's")
        except CloudError as failed:
            error = failed
        else:
            after = time.time()
            self._asked = asked
            # The answer was written between the two moments: half the way is the best guess (RFC 5905 8).
            self._vitals.clock_offset = round((before + after) / 2 - now, 1)
            if self._line.uplink[0] in (Uplink.UNKNOWN, Uplink.AWAY, Uplink.KEY_REFUSED):
                self._line.answered()
            self.told()
            return
        self._log.debug("the console did not take the heartbeat", why=str(error))
        if isinstance(error, UnauthorizedError):
            self._line.failed(error)  # nothing else may be under way that would notice


def as_json(vitals: Mapping[str, Any], findings: list[Finding]) -> dict[str, Any]:
    return {**vitals, "findings": [finding.as_json() for finding in findings]}
