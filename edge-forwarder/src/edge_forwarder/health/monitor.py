"""What a running edge has for its health: composed here, so that the service only starts and stops it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from edge_forwarder.cloud.client import Cloud
from edge_forwarder.cloud.keys import KeyRing, age_days, rotate
from edge_forwarder.dimse.scu import Peer
from edge_forwarder.errors import EdgeError
from edge_forwarder.health.echo import Echoes
from edge_forwarder.health.heartbeat import Heartbeat, patient
from edge_forwarder.health.server import HealthServer
from edge_forwarder.health.vitals import Parts, Vitals
from edge_forwarder.logs import Log

#: The age of the key is looked at so often.
_LOOK_SECONDS: Final = 3600.0


class Monitor:
    """Raises ConfigError when the port of /health is taken."""

    def __init__(self, parts: Parts, keys: KeyRing, peer: Callable[[str], Peer | None], log: Log) -> None:
        config = parts.config()
        self._cloud = Cloud(patient(config.cloud), keys, connections=1)
        vitals = Vitals(parts)
        self.heartbeat = Heartbeat(parts.config, vitals, parts.sightings, self._cloud, parts.journal, parts.line, log)
        self._parts, self._log, self._next_rotation = parts, log, 0.0
        self.heartbeat.told = self._rotate
        self._echoes = Echoes(parts.config, peer, parts.sightings, log)
        self.server = HealthServer(config.health.port, self.heartbeat.look) if config.health.port else None

    @property
    def is_alive(self) -> bool:
        parts = (self.heartbeat, self._echoes, self.server)
        return all(part.is_alive for part in parts if part is not None)

    def start(self) -> None:
        self.heartbeat.start()
        self._echoes.start()
        if self.server is not None:
            self.server.start()

    def stop(self) -> None:
        """Before the journal is closed."""
        if self.server is not None:
            self.server.stop()
        self._echoes.stop()
        self.heartbeat.stop()
        self._cloud.close()

    def _rotate(self) -> None:
        """The cloud answers: replace the key when it is old. What cannot be done now is tried again in an hour."""
        config, now = self._parts.config(), time.monotonic()
        if not config.cloud.key_days or now < self._next_rotation:
            return
        self._next_rotation = now + _LOOK_SECONDS
        try:
            if age_days(config.credentials_file) >= config.cloud.key_days:
                rotate(patient(config.cloud), config.credentials_file)
                self._log.info("the key was replaced")
        except (EdgeError, OSError) as error:
            self._log.warning("the key could not be replaced", why=str(error) or type(error).__name__)
