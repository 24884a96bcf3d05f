"""What a running edge has for its health: composed here, so that the service only starts and stops it."""

from __future__ import annotations

from collections.abc import Callable

from edge_forwarder.cloud import Cloud
from edge_forwarder.config import Credentials
from edge_forwarder.health.echo import Echoes
from edge_forwarder.health.heartbeat import Heartbeat, patient
from edge_forwarder.health.server import HealthServer
from edge_forwarder.health.vitals import Parts, Vitals
from edge_forwarder.logs import Log
from edge_forwarder.scu import Peer


class Monitor:
    """Raises OSError when the port of /health is taken."""

    def __init__(self, parts: Parts, credentials: Credentials, peer: Callable[[str], Peer | None], log: Log) -> None:
        config = parts.config()
        self._cloud = Cloud(patient(config.cloud), credentials, connections=1)
        vitals = Vitals(parts)
        self.heartbeat = Heartbeat(parts.config, vitals, parts.sightings, self._cloud, parts.journal, parts.line, log)
        self._echoes = Echoes(parts.config, peer, parts.sightings)
        self.server = HealthServer(config.health.port, self.heartbeat.look) if config.health.port else None

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
