"""C-ECHO to the devices that can be called, every few minutes: is it switched on, does it know us?"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from edge_forwarder.chore import Chore
from edge_forwarder.config import Config
from edge_forwarder.dicom.syntaxes import EXPLICIT_LITTLE_ENDIAN, IMPLICIT_LITTLE_ENDIAN
from edge_forwarder.dimse.negotiation import VERIFICATION
from edge_forwarder.dimse.pdu import ProposedContext
from edge_forwarder.dimse.scu import Peer, Requestor
from edge_forwarder.dimse.sightings import Sightings
from edge_forwarder.dimse.statuses import Status
from edge_forwarder.errors import NotAssociatedError, WireError
from edge_forwarder.logs import Log

#: A device that is switched off must not hold up the others for long (seconds).
TIMEOUT: Final = 10.0
_SYNTAXES: Final = (IMPLICIT_LITTLE_ENDIAN, EXPLICIT_LITTLE_ENDIAN)


def echo(peer: Peer) -> None:
    """Call, C-ECHO, release. Raises WireError: NotAssociatedError when it does not want us, PeerGoneError when it is
    not there.
    """
    with Requestor.call(peer, [ProposedContext(1, VERIFICATION, _SYNTAXES)]) as association:
        if not association.contexts:
            raise NotAssociatedError(f"{peer.called} does not offer Verification")
        status = association.echo(association.contexts[1])
        if status != Status.SUCCESS:
            raise NotAssociatedError(f"{peer.called} answers C-ECHO with status {status:04X}")


class Echoes:
    """A thread that calls one device after the other."""

    def __init__(
        self, config: Callable[[], Config], peer: Callable[[str], Peer | None], sightings: Sightings, log: Log
    ) -> None:
        self._config, self._peer, self._sightings = config, peer, sightings
        # An association under way is left to its end: nothing of it must be finished.
        self._chore = Chore("echoes", self._turn, log, again=60.0, complaint="devices are not called for now")

    @property
    def is_alive(self) -> bool:
        return self._chore.is_alive

    def start(self) -> None:
        self._chore.start()

    def stop(self, seconds: float = 1.0) -> None:
        self._chore.stop(seconds)

    def _turn(self) -> float:
        config = self._config()
        if config.health.echo_minutes:
            for title in dict.fromkeys(device.ae_title.strip() for device in config.devices):
                if self._chore.is_over:
                    break
                self._call(title)
        return config.health.echo_minutes * 60 or 60.0

    def _call(self, title: str) -> None:
        peer = self._peer(title)
        if peer is None:
            return
        try:
            echo(peer)
        except (WireError, OSError):
            self._sightings.echo_failed(title)
        else:
            self._sightings.echoed(title)
