"""The trash: what was deleted stays there for some days, and then goes for good (protocols: decisions).

A rule acting for a person: what it takes is a decision object first. What is held stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import groupby

from maypacs import arrivals
from maypacs.archive.objects import ObjectHead
from maypacs.archive.store import ArchiveStore
from maypacs.decisions import of_person
from maypacs.holds import Hold, holds_of
from maypacs.index.cascade import DEFAULT_EFFECTS, Effects
from maypacs.uids import Uid
from maypacs.workspace import Workspace

EXPIRE = "expire"
BY = "rule:trash"
#: Objects that one run takes, so that it ends in time; the next one goes on.
MOST = 2_000


def expire_trash(workspace: Workspace, days: int, *, effects: Effects = DEFAULT_EFFECTS, most: int = MOST) -> int:
    """Takes what has been in the trash for more than so many days (0: for ever). Returns how many objects went.

    Can be repeated; a restoration of what went says that it is not there any more.
    """
    if days <= 0:
        return 0
    before = datetime.fromtimestamp(effects.clock(), UTC) - timedelta(days=days)
    count = 0
    for study, heads in groupby(_old(workspace.store, before), key=lambda head: _place(head)[0]):
        holds = holds_of(workspace, study)
        going = [head for head in heads if not _is_held(holds, head)][: most - count]
        if going:
            _take(workspace, study, going, effects)
            count += len(going)
        if count >= most:
            break
    return count


def _old(store: ArchiveStore, before: datetime) -> Iterator[ObjectHead]:
    """In key order: packs, then what belongs to them, so that nothing is left that seems whole."""
    for head in store.objects.list(store.trash_key("")):
        if head.last_modified < before:
            yield head


def _place(head: ObjectHead) -> tuple[Uid, Uid]:
    """Study and series of a key: ``trash/{a}/blobs/packs/{a}/{study}/{series}/…``, ``trash/{a}/meta/{a}/…`` and
    ``trash/{a}/blobs/thumbs/{a}/{study}/{series}.jpg``."""
    parts = head.key.split("/")
    at = 4 if parts[2] == "meta" else 5
    return Uid(parts[at]), Uid(parts[at + 1].removesuffix(".jpg"))


def _is_held(holds: Iterable[Hold], head: ObjectHead) -> bool:
    """What a pack holds beside a single instance that is held, stays with it."""
    return any(each.covers(_place(head)[1]) for each in holds)


def _take(workspace: Workspace, study: Uid, going: list[ObjectHead], effects: Effects) -> None:
    store, now = workspace.store, effects.clock()
    document = of_person(EXPIRE, BY, now, study, None, None)
    store.put_decision(arrivals.ulid_at(now), document | {"keys": [head.key for head in going]})
    for head in going:
        original = head.key.removeprefix(store.trash_key(""))
        for version in list(store.objects.versions(original)):
            if version.key == original and not version.is_latest:  # what it was before it went to the trash
                store.objects.delete_version(version.key, version.version_id)
        for version in list(store.objects.versions(head.key)):
            if version.key == head.key:
                store.objects.delete_version(version.key, version.version_id)
