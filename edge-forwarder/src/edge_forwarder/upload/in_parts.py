"""Large bodies, and those that broke off before, in parts: what the cloud holds of one is not sent again.

Each part has a grant of its own, so the whole may take as long as the line needs; a crash, a pause or a cut costs one
part. The cloud takes in only the whole, by its SHA-256.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

from edge_forwarder.cloud.inbox import ARRIVAL_REFUSED, Begun, Inbox, Named
from edge_forwarder.errors import GrantExpiredError, RefusedError
from edge_forwarder.logs import Log
from edge_forwarder.packing.packs import Body, Digest
from edge_forwarder.upload.throttle import Throttle

#: The cloud's answers that mean: this cloud takes bodies as one.
_NO_SUCH_ROUTE: Final = frozenset({404, 405, 501})


class InParts:
    def __init__(self, inbox: Inbox, throttle: Throttle, log: Log) -> None:
        self._inbox, self._throttle, self._log = inbox, throttle, log

    def upload(
        self,
        body: Body,
        digest: Digest,
        arrival: str | None,
        noted: Callable[[str], None],
        asked: Named | None = None,
        *,
        urgent: bool,
    ) -> str | None:
        """The arrival id; None: the cloud takes no parts. ``noted`` is told the id before the first byte goes.

        Raises KnownError, CloudError, SpoolError, PausedError: what was held until then stays held.
        """
        begun = self._begin(body, digest, arrival, asked)
        if begun is None:
            return None
        noted(begun.arrival)
        if begun.held and not begun.complete:
            self._log.info("an upload goes on", arrival=begun.arrival, held=len(begun.held), parts=begun.parts)
        if begun.complete:
            return begun.arrival
        for number in range(1, begun.parts + 1):
            if number not in begun.held:
                self._put(begun, body, number, urgent=urgent)
        self._inbox.complete(begun.arrival)
        return begun.arrival

    def _begin(self, body: Body, digest: Digest, arrival: str | None, asked: Named | None) -> Begun | None:
        try:
            return self._inbox.begin(digest, body.content_type, arrival, asked)
        except RefusedError as error:
            if arrival and error.status in ARRIVAL_REFUSED:
                return self._begin(body, digest, None, asked)
            if error.status in _NO_SUCH_ROUTE:
                return None
            raise

    def _put(self, begun: Begun, body: Body, number: int, *, urgent: bool) -> None:
        """A grant that has expired is asked for again, once."""
        data = body.part((number - 1) * begun.part_bytes, begun.part_bytes)
        sha256 = hashlib.sha256(data).hexdigest()
        for last in (False, True):
            grant = self._inbox.part_grant(begun.arrival, number, sha256)
            try:
                self._inbox.put(grant, self._throttle.pass_through((data,), urgent=urgent), len(data))
                return
            except GrantExpiredError:
                if last:
                    raise
