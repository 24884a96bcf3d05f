"""A redirect to a composed answer is given only while what it was composed of is there.

An answer is composed of what the index said when it began. A deletion that ran meanwhile may have taken the exports
away before this one was written, and then nobody would. So where something of the study was removed lately, it is asked
for again: the name of an export follows from its content and the revision of its series, so the same name means that
nothing was taken away in between. A deletion that comes after that finds the export and takes it along.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from urllib.parse import unquote, urlsplit

from maypacs.dicomweb.request import Request
from maypacs.errors import BusyError, GoneError, NotFoundError
from maypacs.http.answers import Answer
from maypacs.index.removals import read_removals
from maypacs.index.rows import study_pk
from maypacs.uids import Uid

#: Longer than a deletion takes from its tombstone to its last step.
LATELY_SECONDS = 20 * 60
_TRIES = 4


def steady(answer: Callable[[Request], Answer], request: Request, *, clock: Callable[[], float] = time.time) -> Answer:
    """The answer; raises what it raises, and BusyError when what it is about keeps changing."""
    found = answer(request)
    for _ in range(_TRIES):
        key = _export(request, found)
        if not key or not _lately_removed(request, key, clock()):
            return found
        objects = request.workspace.store.objects
        try:
            again = answer(request)
        except (GoneError, NotFoundError):
            objects.delete(key)
            raise
        if _export(request, again) == key:
            return again
        objects.delete(key)
        found = again
    raise BusyError("this is being changed")


def _export(request: Request, answer: Answer) -> str:
    """The key of the export that an answer redirects to."""
    if answer.status != 307:
        return ""
    key = unquote(urlsplit(answer.headers["Location"]).path).lstrip("/")
    return key if key.startswith(request.workspace.store.export_key("")) else ""


def _lately_removed(request: Request, key: str, now: float) -> bool:
    """Was anything of the study removed not long ago?"""
    from maypacs.arrivals import ulid_at

    study = Uid(key.removeprefix(request.workspace.store.export_key("")).partition("/")[0])
    removals = read_removals(request.workspace.table, study_pk(request.workspace.archive_id, study))
    return removals.latest() >= ulid_at(now - LATELY_SECONDS)[:10]
