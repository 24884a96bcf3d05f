"""C-FIND, Patient Root and Study Root: answered from the cloud's archive (PS3.4 C.4.1, C.6.1, C.6.2)."""

from __future__ import annotations

import threading

from edge_forwarder.cloud.dicomweb import DicomWeb, Item
from edge_forwarder.config import Config
from edge_forwarder.dicom import values
from edge_forwarder.dimse.services import Dialogue
from edge_forwarder.dimse.statuses import Status
from edge_forwarder.errors import CloudError, QueryError, RefusedError, UnreadableError, WireError
from edge_forwarder.logs import Log
from edge_forwarder.query_retrieve import query


class Find:
    """The service; ``slots`` bounds queries and retrieves at once."""

    def __init__(self, config: Config, archive: DicomWeb, slots: threading.Semaphore, log: Log) -> None:
        self._config, self._archive, self._slots, self._log = config, archive, slots, log

    def __call__(self, dialogue: Dialogue) -> None:
        if not self._slots.acquire(blocking=False):
            dialogue.respond(Status.OUT_OF_RESOURCES, "too many queries at once")
            return
        try:
            status, comment, matches = self._answer(dialogue)
        except WireError:
            raise
        except Exception as error:  # a match that cannot be written as an identifier, for one
            self._log.error("a query broke", why=type(error).__name__)
            status, comment, matches = Status.UNABLE_TO_PROCESS, "the query broke here", 0
        finally:
            self._slots.release()
        calling = dialogue.caller.ae_title
        self._log.info("query", calling=calling, matches=matches, state=f"{status:#06x}", why=comment)
        dialogue.respond(status, comment)

    def _answer(self, dialogue: Dialogue) -> tuple[Status, str, int]:
        """The last status with its comment, after the pending responses, and how many those were."""
        syntax = dialogue.context.transfer_syntax
        if dialogue.data_set is None:
            return Status.IDENTIFIER_DOES_NOT_MATCH, "no identifier", 0
        try:
            identifier = values.decode(dialogue.data_set, syntax)
            asked = query.question(identifier, dialogue.context.abstract_syntax)
            items, more = self._search(asked)
        except (QueryError, UnreadableError) as error:
            return Status.IDENTIFIER_DOES_NOT_MATCH, str(error), 0
        except RefusedError as error:
            if error.status == 400:
                return Status.IDENTIFIER_DOES_NOT_MATCH, "the archive does not know a key at this level", 0
            if error.status == 413:
                return Status.OUT_OF_RESOURCES, "too many studies to look at: narrow the query", 0
            return Status.UNABLE_TO_PROCESS, str(error), 0
        except CloudError as error:
            return Status.OUT_OF_RESOURCES, str(error), 0
        title = self._config.edge.ae_title.strip()
        for sent, item in enumerate(items):
            if dialogue.is_cancelled():
                return Status.CANCEL, "", sent
            answer = values.encode(query.answer(item, asked, title), syntax)
            dialogue.respond(Status.PENDING, data_set=answer)
        if more:
            return Status.OUT_OF_RESOURCES, "there are more matches: narrow the query", len(items)
        return Status.SUCCESS, "", len(items)

    def _search(self, asked: query.Question) -> tuple[list[Item], bool]:
        """Raises CloudError."""
        limits = self._config.retrieve
        if asked.level == "PATIENT":
            studies = self._archive.search(asked.paths[0], asked.parameters, limit=limits.max_studies)
            found = query.patients(studies.items)
            return found[: limits.max_matches], studies.more or len(found) > limits.max_matches
        items: list[Item] = []
        for path in asked.paths:
            try:
                page = self._archive.search(path, asked.parameters, limit=limits.max_matches - len(items))
            except RefusedError as error:
                if error.status == 404:  # that study is not there: no match
                    continue
                raise
            items += page.items
            if page.more:
                return items, True
        return items, False
