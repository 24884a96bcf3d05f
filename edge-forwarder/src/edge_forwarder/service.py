"""The composition root: makes the parts, starts them in order, stops them in the opposite one."""

from __future__ import annotations

import sqlite3
import time
from contextlib import ExitStack, suppress

from edge_forwarder import __version__
from edge_forwarder.cloud.client import Cloud
from edge_forwarder.cloud.inbox import Inbox
from edge_forwarder.cloud.keys import KeyRing
from edge_forwarder.commitment.commitments import Commitments
from edge_forwarder.commitment.evidence import Evidence
from edge_forwarder.config import MIB, Config
from edge_forwarder.databases.journal import Journal
from edge_forwarder.databases.ledger import Ledger
from edge_forwarder.dimse import tls
from edge_forwarder.dimse.association import Acceptor
from edge_forwarder.dimse.listener import Listener
from edge_forwarder.dimse.peers import peer_of
from edge_forwarder.dimse.scu import Peer
from edge_forwarder.dimse.services import Offer
from edge_forwarder.dimse.statuses import Command
from edge_forwarder.errors import ConfigError
from edge_forwarder.health.monitor import Monitor
from edge_forwarder.health.vitals import Parts
from edge_forwarder.logs import Log
from edge_forwarder.packing.intake import Intake
from edge_forwarder.packing.keeper import Keeper
from edge_forwarder.packing.planner import Limits, Planner
from edge_forwarder.query_retrieve.readers import Readers
from edge_forwarder.spool.folder import Spool
from edge_forwarder.spool.tenant import note_tenant
from edge_forwarder.stow.server import StowServer
from edge_forwarder.stow.store import Store
from edge_forwarder.upload.uploads import Uploads
from edge_forwarder.upload.urgency import Urgency


class Service:
    """One edge. Raises ConfigError or SpoolError when it cannot be made, OSError when the port is taken.

    Without ``listen`` it opens no port: it uploads what is spooled and handed over, for a command that finds no edge
    running.
    """

    def __init__(self, config: Config, log: Log, *, listen: bool = True) -> None:
        self._config, self._log = config, log
        keys = KeyRing(config.credentials_file)
        # What was opened is closed again if what comes after it cannot be made.
        with ExitStack() as undo:
            self.cloud = Cloud(config.cloud, keys)
            undo.callback(self.cloud.close)
            self.spool = _spool(config)
            self.spool.open()
            undo.callback(self.spool.close)
            if strange := len(self.spool.strange_folders):
                log.warning("folders in incoming/ of the spool are not the edge's, and stay", files=strange)
            note_tenant(config.spool_folder, keys.archive, config.cache_folder)
            self.journal = Journal.open(self.spool.layout.journal)
            undo.callback(self.journal.close)
            self.ledger = Ledger.open(self.spool.layout.ledger)
            undo.callback(self.ledger.close)
            for kept in (self.journal, self.ledger):
                kept.tell_of_damage(log)
            self.uploads = Uploads(config, keys.archive, self.cloud, self.spool, self.journal, self.ledger, log)
            uploader, settler = self.uploads.uploader, self.uploads.settler
            planner = Planner(Limits.of(config.packing))
            self.keeper = keeper = Keeper(self.spool, self.journal, planner, uploader.submit, log, self.ledger)
            self.intake = Intake(self.spool, self.ledger, keeper.stored, keeper.ended, uploader.hurry, log)
            self._client_tls = tls.client_context(config) if _calls_by_tls(config) else None
            self.readers = Readers(lambda: self._config, keys, self.spool, self._peer, log)
            undo.callback(self.readers.close)
            judge = Evidence(
                self.ledger, Inbox(self.cloud), self._is_spooled, keeper.caught_up, self._stored_as, keeper.unread
            )
            self.commitments = Commitments(config, self.ledger, judge, self._peer, log)
            settler.keep, settler.settled = self.readers.keep, self.commitments.wake
            services = {Command.N_ACTION_RQ: self.commitments.action, **self.readers.services}
            offer = Offer(services, self.commitments.reports)
            self._acceptor = Acceptor(config, self.spool, log, keeper.stored, keeper.ended, self._refused, offer)
            keeper.registrar.is_stat = Urgency.of(config.upload).is_stat
            keeper.registrar.noticed = self._acceptor.sightings.is_modality
            self._server_tls = tls.server_context(config)
            self.listener = Listener(self._acceptor, self._server_tls) if listen else None
            if self.listener is not None:
                undo.callback(self.listener.stop)
            self.stow = self._stow(keys) if listen and config.stow.port else None
            if self.stow is not None:
                undo.callback(self.stow.stop)
            self.monitor = self._monitor(keys) if listen else None
            undo.pop_all()

    def start(self) -> None:
        """The uploads first, for the keeper gives them work; the listener last, when everything behind it stands."""
        self.journal.set_fact("started_at", time.time())
        self.journal.set_fact("version", __version__)
        if self.listener is not None:
            self.journal.set_fact("port", self.listener.port)
            self.journal.set_fact("tls_port", self.listener.tls_port)
        self.uploads.start()
        self.keeper.start()
        self.commitments.start()
        self.readers.start()
        self.intake.start()
        if self.monitor is not None:
            self.monitor.start()
        if self.listener is not None:
            self.listener.start()
            if self.stow is not None:
                self.stow.start()
            self._log.info("started", version=__version__, host=self.listener.host, port=self.listener.port)

    def stop(self) -> None:
        """Graceful: associations finish the message they are in, what was received is packed, uploads are left
        where they are.
        """
        if self.listener is not None:
            self.listener.stop(seconds=6.0)
        if self.stow is not None:
            self.stow.stop(seconds=4.0)
        if self.monitor is not None:
            self.monitor.stop()
        self.intake.stop(seconds=2.0)
        self.commitments.stop(seconds=2.0)
        self.readers.stop()
        self.keeper.stop(seconds=4.0)
        self.uploads.stop()
        self.cloud.close()
        self.readers.close()
        self.journal.close()
        self.ledger.close()
        self.spool.close()
        self._log.info("stopped")

    @property
    def config(self) -> Config:
        """What is in force."""
        return self._config

    def configure(self, config: Config) -> None:
        """A configuration that differs in what may change while we run (`reloading.LIVE`). Raises ConfigError: then
        nothing was changed.
        """
        client_tls = tls.client_context(config) if _calls_by_tls(config) else None
        tls.renew(self._server_tls, config)
        self._config, self._client_tls = config, client_tls
        self._acceptor.config = config
        self.commitments.configure(config)
        self.keeper.configure(Limits.of(config.packing))
        self.keeper.registrar.is_stat = Urgency.of(config.upload).is_stat
        self.uploads.configure(config)
        self.spool.max_instance_bytes = config.spool.max_instance_mib * MIB
        self.spool.configure(min_free_bytes=config.spool.min_free_mib * MIB, max_bytes=config.spool.max_mib * MIB)

    def is_alive(self) -> bool:
        """Whether no part of it has died."""
        return not self.is_damaged and not self.dead

    @property
    def dead(self) -> list[str]:
        """The parts that have died."""
        always = (*self.uploads.parts, self.keeper, self.commitments, *self.readers.parts, self.intake)
        parts = (*always, self.monitor, self.listener, self.stow)
        return [type(part).__name__ for part in parts if part is not None and not part.is_alive]

    @property
    def is_damaged(self) -> bool:
        """Whether what it remembers on disk broke while it ran: a start puts that aside."""
        return self.journal.is_damaged or self.ledger.is_damaged

    def _stow(self, keys: KeyRing) -> StowServer:
        """The local STOW-RS endpoint."""
        config = self._config
        store = Store(
            self.spool, self.keeper.stored, self.keeper.ended, self._refused, max_instances=config.stow.max_instances
        )
        root = f"{config.cloud.url.rstrip('/')}/dicomweb/{keys.archive}"
        secure = self._server_tls if config.stow.tls else None
        if config.stow.tls and secure is None:
            raise ConfigError("[stow] tls needs [tls] certificate and key")
        return StowServer(config.stow, store, root, self._log, secure)

    def _monitor(self, keys: KeyRing) -> Monitor:
        listener = self.listener
        parts = Parts(
            config=lambda: self._config,
            spool=self.spool,
            journal=self.journal,
            ledger=self.ledger,
            line=self.uploads.line,
            sightings=self._acceptor.sightings,
            associations=lambda: listener.open_count if listener is not None else 0,
            not_taken=lambda: self.keeper.not_taken + self.intake.not_taken,
        )
        return Monitor(parts, keys, self._peer, self._log)

    # What parts ask of each other

    def _is_spooled(self, name: str) -> bool:
        return (self.intake.folder / name).is_file() or self.spool.path(name).is_file()

    def _stored_as(self, ae_title: str) -> frozenset[str]:
        """Under which AE titles a device sends, by the configuration that is in force."""
        return self._config.stored_as(ae_title)

    def _peer(self, ae_title: str) -> Peer | None:
        """How to call a device; None when its entry has no host or port."""
        device = self._config.callable(ae_title)
        return None if device is None else peer_of(self._config, device, self._client_tls)

    def _refused(self) -> None:
        with suppress(sqlite3.Error):  # the disk may be too full for the journal, too
            self.journal.count("refused")
            self.journal.set_fact("last_refused_at", time.time())
        self.readers.cache.make_room()


def _spool(config: Config) -> Spool:
    spool = Spool(
        config.spool_folder, min_free_bytes=config.spool.min_free_mib * MIB, max_bytes=config.spool.max_mib * MIB
    )
    spool.max_instance_bytes = config.spool.max_instance_mib * MIB
    return spool


def _calls_by_tls(config: Config) -> bool:
    return any(device.tls for device in config.devices)
