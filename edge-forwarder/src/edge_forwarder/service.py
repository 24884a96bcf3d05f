"""The composition root: makes the parts, starts them in order, stops them in the opposite one."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import suppress

from edge_forwarder import __version__
from edge_forwarder.cloud.client import Cloud
from edge_forwarder.cloud.dicomweb import DicomWeb
from edge_forwarder.cloud.inbox import Inbox
from edge_forwarder.cloud.keys import KeyRing
from edge_forwarder.commitment.commitments import Commitments
from edge_forwarder.commitment.evidence import Evidence
from edge_forwarder.compression import codecs
from edge_forwarder.config import MIB, Config, windows
from edge_forwarder.databases.journal import InstanceRow, Journal
from edge_forwarder.databases.ledger import Ledger
from edge_forwarder.dimse import tls
from edge_forwarder.dimse.association import Receiver
from edge_forwarder.dimse.listener import Listener
from edge_forwarder.dimse.negotiation import RETRIEVE
from edge_forwarder.dimse.peers import peer_of
from edge_forwarder.dimse.scu import Peer
from edge_forwarder.dimse.services import Offer
from edge_forwarder.dimse.services import Service as ServiceOfCommand
from edge_forwarder.dimse.sightings import Sightings
from edge_forwarder.dimse.statuses import Command
from edge_forwarder.errors import ConfigError
from edge_forwarder.health.monitor import Monitor
from edge_forwarder.health.vitals import Parts
from edge_forwarder.logs import Log
from edge_forwarder.packing.intake import Intake
from edge_forwarder.packing.keeper import Keeper
from edge_forwarder.packing.planner import Limits, Planner
from edge_forwarder.query_retrieve.cache import Cache, Instance
from edge_forwarder.query_retrieve.erased import Erased
from edge_forwarder.query_retrieve.fetch import Fetcher
from edge_forwarder.query_retrieve.find import Find
from edge_forwarder.query_retrieve.retrieve import Retrieve
from edge_forwarder.spool.folder import Spool
from edge_forwarder.spool.tenant import note_tenant
from edge_forwarder.stow.server import StowServer
from edge_forwarder.stow.store import Store
from edge_forwarder.upload.compressor import Compressor
from edge_forwarder.upload.line import Line
from edge_forwarder.upload.sender import Sender
from edge_forwarder.upload.settle import Settler
from edge_forwarder.upload.throttle import Throttle
from edge_forwarder.upload.tidying import Tidying
from edge_forwarder.upload.uploader import Uploader
from edge_forwarder.upload.urgency import Urgency
from edge_forwarder.upload.watcher import Watcher


class Service:
    """One edge. Raises ConfigError or SpoolError when it cannot be made, OSError when the port is taken.

    Without ``listen`` it opens no port: it uploads what is spooled and handed over, for a command that finds no edge
    running.
    """

    def __init__(self, config: Config, log: Log, *, listen: bool = True) -> None:
        self._config, self._log = config, log
        keys = KeyRing(config.credentials_file)
        self.cloud = Cloud(config.cloud, keys)
        self.spool = Spool(
            config.spool_folder, min_free_bytes=config.spool.min_free_mib * MIB, max_bytes=config.spool.max_mib * MIB
        )
        self.spool.max_instance_bytes = config.spool.max_instance_mib * MIB
        self.spool.open()
        if strange := len(self.spool.strange_folders):
            log.warning("folders in incoming/ of the spool are not the edge's, and stay", files=strange)
        try:
            note_tenant(config.spool_folder, keys.archive, config.cache_folder)
            self.journal = Journal.open(config.spool_folder / "journal.sqlite")
            self.ledger = Ledger.open(config.spool_folder / "ledger.sqlite")
            for kept in (self.journal, self.ledger):
                kept.tell_of_damage(log)
            line = Line(self.journal, log, config.cloud.retry_max_seconds)
            self.settler = Settler(self.spool, self.journal, log, self.ledger, Inbox(self.cloud))
            self.settler.keep = self._keep
            longest = config.cloud.status_poll_seconds
            self.watcher = Watcher(self.settler, self.journal, Inbox(self.cloud), line, log, longest_pause=longest)
            upload = config.upload
            self.throttle = Throttle(windows.parse(upload.windows), paused=upload.pause)
            sender = Sender(
                keys.archive,
                self.spool,
                self.journal,
                self.cloud,
                self.settler,
                log,
                self.ledger,
                throttle=self.throttle,
                compressor=self._compressor(),
                in_parts_above=upload.in_parts_above_mib * MIB,
            )
            self.uploader = Uploader(
                config.cloud,
                self.journal,
                sender,
                line,
                self.watcher,
                log,
                throttle=self.throttle,
                order="newest" if upload.order == "newest" else "oldest",
            )
            self.watcher.upload_again, self.watcher.doubted = self.uploader.submit, sender.doubt
            self.settler.upload_again, self.settler.doubted = self.uploader.submit, sender.doubt
            planner = Planner(Limits.of(config.packing))
            self.keeper = Keeper(self.spool, self.journal, planner, self.uploader.submit, log, self.ledger)
            self._put_first(config)
            self.archive = DicomWeb(config.cloud, keys, config.retrieve)
            # Asked while somebody waits for an image.
            self._asked_soon = Cloud(config.cloud, keys, connections=config.retrieve.parallel, patience=config.retrieve)
            keeper = self.keeper
            self.intake = Intake(self.spool, self.ledger, keeper.stored, keeper.ended, self.uploader.hurry, log)
            self.tidying = Tidying(
                self.spool,
                self.journal,
                Inbox(self.cloud),
                log,
                max_age=config.spool.attention_days * 86400,
                max_bytes=config.spool.attention_mib * MIB,
            )
            calls_by_tls = any(device.tls for device in config.devices)
            self._client_tls = tls.client_context(config) if calls_by_tls else None
            mine = lambda title: self._config.stored_as(title)  # noqa: E731 - of the configuration that is in force
            spooled, inbox = self._is_spooled, Inbox(self.cloud)
            judge = Evidence(self.ledger, inbox, spooled, self.keeper.caught_up, mine, self.keeper.unread)
            self.commitments = Commitments(config, self.ledger, judge, self._peer, log)
            self.settler.settled = self.commitments.wake
            offer = Offer({Command.N_ACTION_RQ: self.commitments.action, **self._readers()}, self.commitments.reports)
            self._receiver = receiver = Receiver(
                config, self.spool, log, self.keeper.stored, self.keeper.ended, self._refused, offer
            )
            self.keeper.registrar.noticed = receiver.sightings.is_modality
            self._server_tls = tls.server_context(config)
            self.listener = Listener(receiver, self._server_tls) if listen else None
            self.stow = self._stow(keys) if listen and config.stow.port else None
            self.monitor = self._monitor(keys, line, receiver.sightings) if listen else None
        except BaseException:
            self.spool.close()
            raise

    def start(self) -> None:
        """The uploader first, for the keeper gives it work; the listener last, when everything behind it stands."""
        self.journal.set_fact("started_at", time.time())
        self.journal.set_fact("version", __version__)
        if self.listener is not None:
            self.journal.set_fact("port", self.listener.port)
            self.journal.set_fact("tls_port", self.listener.tls_port)
        self.watcher.start()
        self.uploader.start()
        self.keeper.start()
        self.commitments.start()
        self.cache.start()
        self.erased.start()
        self.intake.start()
        self.tidying.start()
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
        self.cache.stop(seconds=1.0)
        self.erased.stop(seconds=1.0)
        self.tidying.stop(seconds=1.0)
        self.keeper.stop(seconds=4.0)
        self.uploader.stop(seconds=4.0)
        self.watcher.stop(seconds=2.0)
        self.cloud.close()
        self.archive.close()
        self._asked_soon.close()
        self.journal.close()
        self.ledger.close()
        self.spool.close()
        self._log.info("stopped")

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

    def _monitor(self, keys: KeyRing, line: Line, sightings: Sightings) -> Monitor:
        listener = self.listener
        parts = Parts(
            config=lambda: self._config,
            spool=self.spool,
            journal=self.journal,
            ledger=self.ledger,
            line=line,
            sightings=sightings,
            associations=lambda: listener.open_count if listener is not None else 0,
            not_taken=lambda: self.keeper.not_taken + self.intake.not_taken,
        )
        return Monitor(parts, keys, self._peer, self._log)

    @property
    def config(self) -> Config:
        """What is in force."""
        return self._config

    def configure(self, config: Config) -> None:
        """A configuration that differs in what may change while we run (`reloading.LIVE`). Raises ConfigError: then
        nothing was changed.
        """
        limits, taps = Limits.of(config.packing), windows.parse(config.upload.windows)
        client_tls = tls.client_context(config) if any(device.tls for device in config.devices) else None
        tls.renew(self._server_tls, config)
        self._config, self._client_tls = config, client_tls
        self._receiver.config = config
        self.commitments.configure(config)
        self.keeper.configure(limits)
        self._put_first(config)
        self.throttle.configure(taps, paused=config.upload.pause)
        self.spool.max_instance_bytes = config.spool.max_instance_mib * MIB
        self.spool.configure(min_free_bytes=config.spool.min_free_mib * MIB, max_bytes=config.spool.max_mib * MIB)

    def is_alive(self) -> bool:
        """Whether no part of it has died."""
        return not self.is_damaged and not self.dead

    @property
    def dead(self) -> list[str]:
        """The parts that have died."""
        always = (self.watcher, self.uploader, self.keeper, self.commitments, self.cache, self.erased, self.intake)
        parts = (*always, self.tidying, self.monitor, self.listener, self.stow)
        return [type(part).__name__ for part in parts if part is not None and not part.is_alive]

    @property
    def is_damaged(self) -> bool:
        """Whether what it remembers on disk broke while it ran: a start puts that aside."""
        return self.journal.is_damaged or self.ledger.is_damaged

    def _readers(self) -> dict[int, ServiceOfCommand]:
        """Query and retrieve."""
        limits = self._config.retrieve
        self.cache = cache = Cache(
            self._config.cache_folder,
            max_bytes=limits.cache_mib * MIB,
            max_age=limits.cache_hours * 3600,
            min_free_bytes=2 * self._config.spool.min_free_mib * MIB,
        )
        try:
            cache.open()
        except OSError as error:  # images are taken and sent all the same
            self._log.error("the cache of images cannot be used", why=error.strerror or type(error).__name__)
        self.erased = Erased(self.archive, cache, self._config.cache_folder / "erased", self._log)
        slots = threading.BoundedSemaphore(limits.parallel)
        fetcher = Fetcher(self.archive, Inbox(self._asked_soon), cache, limits.max_instances, self._log)
        retrieve = Retrieve(self.archive, fetcher, self._peer, slots, limits.max_studies, self._log)
        find = Find(self._config, self.archive, slots, self._log)
        return {Command.C_FIND_RQ: find, Command.C_MOVE_RQ: retrieve, Command.C_GET_RQ: retrieve}

    def _keep(self, member: InstanceRow) -> None:
        """An uploaded instance goes to the cache, if any device may retrieve: by a second name of its file, which costs
        nothing.
        """
        limits = self._config.retrieve
        granted = (self._config.dimse.rights, *(device.rights for device in self._config.devices))
        wanted = limits.keep_uploaded and limits.cache_mib and any(RETRIEVE in rights for rights in granted)
        if wanted and member.identity is not None:
            i = member.identity
            with suppress(ValueError):
                instance = Instance(i.study_instance_uid, i.series_instance_uid, i.sop_instance_uid, i.sop_class_uid)
                self.cache.adopt(instance, self.spool.path(member.name))

    def _put_first(self, config: Config) -> None:
        urgency = Urgency.of(config.upload)
        self.keeper.registrar.is_stat, self.uploader.is_bulk = urgency.is_stat, urgency.is_bulk

    def _compressor(self) -> Compressor | None:
        wanted = self._config.compress
        for name in wanted.codecs:
            if not codecs.works(codecs.CODECS[name]):
                raise ConfigError(f"[compress] {name} does not work here: install its codec anew, or change the rule")
        if not wanted.codecs:
            return None
        return Compressor(self.spool, self.journal, self._log, self.ledger, wanted.rules, wanted.default)

    def _is_spooled(self, name: str) -> bool:
        return (self.intake.folder / name).is_file() or self.spool.path(name).is_file()

    def _peer(self, ae_title: str) -> Peer | None:
        """How to call a device; None when its entry has no host or port."""
        device = self._config.callable(ae_title)
        return None if device is None else peer_of(self._config, device, self._client_tls)

    def _refused(self) -> None:
        with suppress(sqlite3.Error):  # the disk may be too full for the journal, too
            self.journal.count("refused")
            self.journal.set_fact("last_refused_at", time.time())
        self.cache.make_room()
