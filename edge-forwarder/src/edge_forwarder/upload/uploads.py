"""The uplink, composed: which pack goes next and how, what became of it, and what is set aside."""

from __future__ import annotations

from edge_forwarder.cloud.client import Cloud
from edge_forwarder.cloud.inbox import Inbox
from edge_forwarder.config import MIB, Config, windows
from edge_forwarder.databases.journal import Journal
from edge_forwarder.databases.ledger import Ledger
from edge_forwarder.logs import Log
from edge_forwarder.spool.folder import Spool
from edge_forwarder.upload.compressor import Compressor
from edge_forwarder.upload.line import Line
from edge_forwarder.upload.sender import Sender
from edge_forwarder.upload.settle import Settler
from edge_forwarder.upload.throttle import Throttle
from edge_forwarder.upload.tidying import Tidying
from edge_forwarder.upload.uploader import Uploader
from edge_forwarder.upload.urgency import Urgency
from edge_forwarder.upload.watcher import Watcher


class Uploads:
    """Raises ConfigError when it cannot be made: a codec does not work here."""

    def __init__(
        self, config: Config, archive: str, cloud: Cloud, spool: Spool, journal: Journal, ledger: Ledger, log: Log
    ) -> None:
        """``archive``: the id of the one whose key we have."""
        inbox = Inbox(cloud)
        upload = config.upload
        self.line = Line(journal, log, config.cloud.retry_max_seconds)
        self.settler = Settler(spool, journal, log, ledger, inbox)
        self._watcher = Watcher(
            self.settler, journal, inbox, self.line, log, longest_pause=config.cloud.status_poll_seconds
        )
        self._throttle = Throttle()
        sender = Sender(
            archive,
            spool,
            journal,
            cloud,
            self.settler,
            log,
            ledger,
            throttle=self._throttle,
            compressor=_compressor(config, spool, journal, ledger, log),
            in_parts_above=upload.in_parts_above_mib * MIB,
        )
        self.uploader = Uploader(
            config.cloud,
            journal,
            sender,
            self.line,
            self._watcher,
            log,
            throttle=self._throttle,
            order="newest" if upload.order == "newest" else "oldest",
        )
        self._watcher.upload_again, self._watcher.doubted = self.uploader.submit, sender.doubt
        self.settler.upload_again, self.settler.doubted = self.uploader.submit, sender.doubt
        self._tidying = Tidying(
            spool,
            journal,
            inbox,
            log,
            max_age=config.spool.attention_days * 86400,
            max_bytes=config.spool.attention_mib * MIB,
        )
        self.parts = (self._watcher, self.uploader, self._tidying)
        """What has threads."""
        self.configure(config)

    def configure(self, config: Config) -> None:
        """Other windows, pauses and devices, from now on."""
        self.uploader.is_bulk = Urgency.of(config.upload).is_bulk
        self._throttle.configure(windows.parse(config.upload.windows), paused=config.upload.pause)

    def start(self) -> None:
        for part in self.parts:
            part.start()

    def stop(self) -> None:
        """Uploads are left where they are."""
        self._tidying.stop(seconds=1.0)
        self.uploader.stop(seconds=4.0)
        self._watcher.stop(seconds=2.0)


def _compressor(config: Config, spool: Spool, journal: Journal, ledger: Ledger, log: Log) -> Compressor | None:
    wanted = config.compress
    wanted.try_out()
    if not wanted.codecs:
        return None
    return Compressor(spool, journal, log, ledger, wanted.rules, wanted.default)
