"""Query and retrieve, composed: the archive that is read, the cache beside it, and the services of their commands."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import suppress

from edge_forwarder.cloud.client import Cloud
from edge_forwarder.cloud.dicomweb import DicomWeb
from edge_forwarder.cloud.inbox import Inbox
from edge_forwarder.cloud.keys import KeyRing
from edge_forwarder.config import MIB, Config
from edge_forwarder.databases.journal import InstanceRow
from edge_forwarder.dimse.negotiation import RETRIEVE
from edge_forwarder.dimse.scu import Peer
from edge_forwarder.dimse.services import Service
from edge_forwarder.dimse.statuses import Command
from edge_forwarder.logs import Log
from edge_forwarder.query_retrieve.cache import Cache, Instance
from edge_forwarder.query_retrieve.erased import Erased
from edge_forwarder.query_retrieve.fetch import Fetcher
from edge_forwarder.query_retrieve.find import Find
from edge_forwarder.query_retrieve.retrieve import Retrieve
from edge_forwarder.spool.folder import Spool


class Readers:
    """``services`` go into what associations offer."""

    def __init__(
        self,
        config: Callable[[], Config],
        keys: KeyRing,
        spool: Spool,
        peer: Callable[[str], Peer | None],
        log: Log,
    ) -> None:
        """``config``: that which is in force; ``peer``: how to call a device."""
        self._config, self._spool = config, spool
        now = config()
        limits = now.retrieve
        self.cache = Cache(
            now.cache_folder,
            max_bytes=limits.cache_mib * MIB,
            max_age=limits.cache_hours * 3600,
            min_free_bytes=2 * now.spool.min_free_mib * MIB,
        )
        try:
            self.cache.open()
        except OSError as error:  # images are taken and sent all the same
            log.error("the cache of images cannot be used", why=error.strerror or type(error).__name__)
        self._archive = archive = DicomWeb(now.cloud, keys, limits)
        # Asked while somebody waits for an image.
        self._asked_soon = Cloud(now.cloud, keys, connections=limits.parallel, patience=limits)
        self._erased = Erased(archive, self.cache, now.cache_folder / "erased", log)
        slots = threading.BoundedSemaphore(limits.parallel)
        fetcher = Fetcher(archive, Inbox(self._asked_soon), self.cache, limits.max_instances, log)
        retrieve = Retrieve(archive, fetcher, peer, slots, limits.max_studies, log)
        find = Find(now, archive, slots, log)
        self.services: Mapping[int, Service] = {
            Command.C_FIND_RQ: find,
            Command.C_MOVE_RQ: retrieve,
            Command.C_GET_RQ: retrieve,
        }
        self.parts = (self.cache, self._erased)
        """What has threads."""

    def start(self) -> None:
        for part in self.parts:
            part.start()

    def stop(self) -> None:
        for part in self.parts:
            part.stop(seconds=1.0)

    def close(self) -> None:
        """The connections."""
        self._archive.close()
        self._asked_soon.close()

    def keep(self, member: InstanceRow) -> None:
        """An uploaded instance goes to the cache, if any device may retrieve: by a second name of its file, which costs
        nothing.
        """
        config = self._config()
        limits = config.retrieve
        granted = (config.dimse.rights, *(device.rights for device in config.devices))
        wanted = limits.keep_uploaded and limits.cache_mib and any(RETRIEVE in rights for rights in granted)
        if wanted and member.identity is not None:
            i = member.identity
            with suppress(ValueError):
                instance = Instance(i.study_instance_uid, i.series_instance_uid, i.sop_instance_uid, i.sop_class_uid)
                self.cache.adopt(instance, self._spool.path(member.name))
