"""Where the images of a study are: in the cloud before, on their way, taken, refused. For `migrate`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final

from edge_forwarder.cloud.dicomweb import DicomWeb, value
from edge_forwarder.config import Config, load_credentials
from edge_forwarder.databases.ledger import Ledger
from edge_forwarder.databases.sent import SentState
from edge_forwarder.errors import CloudError
from edge_forwarder.migrating.state import Fate, Image
from edge_forwarder.spool.layout import Layout

_FATES: Final = {
    SentState.SPOOLED: Fate.ARRIVED,
    SentState.INDEXED: Fate.INDEXED,
    SentState.CONFLICT: Fate.CONFLICT,
    SentState.REFUSED: Fate.REFUSED,
}


class Whereabouts:
    """Asks the cloud's archive, and the ledger of the edge that runs. Raises ConfigError."""

    def __init__(self, config: Config) -> None:
        self._ledger = Layout(config.spool_folder).ledger
        self._archive = DicomWeb(config.cloud, load_credentials(config.credentials_file), config.retrieve)

    def close(self) -> None:
        self._archive.close()

    def in_cloud(self, study: str, images: Iterable[Image]) -> dict[str, Fate]:
        """Of the missing images those that the archive has, by UID: in the same series and of the same SOP class, as
        far as the source says; their bytes are not compared. What is otherwise is fetched, and the cloud decides. A
        cloud that is away is no obstacle: what it has is then fetched, and the edge asks it again.
        """
        wanted = {image.sop: image for image in images if image.fate == Fate.MISSING}
        if wanted:
            with suppress(CloudError):
                found = self._archive.search(f"/studies/{study}/instances", limit=2 * len(wanted) + 1000)
                return {
                    image.sop: Fate.THERE
                    for item in found.items
                    if (image := wanted.get(value(item, "00080018")))
                    and image.series in ("", value(item, "0020000E"))
                    and image.sop_class in ("", value(item, "00080016"))
                }
        return {}

    def sent(self, studies: Iterable[str]) -> Mapping[str, Mapping[str, Fate]]:
        """By study, the images that this edge has seen."""
        found: dict[str, dict[str, Fate]] = {}
        with suppress(sqlite3.Error):
            ledger = Ledger.read_only(self._ledger)
            try:
                for study in studies:
                    found[study] = {sop: _FATES[state] for sop, state in ledger.of_study(study).items()}
            finally:
                ledger.close()
        return found

    def sent_of(self, study: str) -> Mapping[str, Fate]:
        return self.sent([study]).get(study, {})
