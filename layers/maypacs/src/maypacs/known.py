"""Which instances of a series the archive holds, byte for byte: an edge need not send them, and may commit to them.

*Known* promises what *indexed* promises (protocols: what an instance is): the instance is current, of equal digest in
the same transfer syntax, and was not removed. Whatever is less certain is not known: it is sent, and ingest judges.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass

from maypacs.errors import GoneError, NotFoundError
from maypacs.incoming import DIGEST_SIZE
from maypacs.index.contents import series_holding
from maypacs.index.removals import read_removals
from maypacs.index.rows import study_pk
from maypacs.uids import Uid
from maypacs.uploads import check_sha256
from maypacs.workspace import Workspace

#: Of one question: what one pack may hold.
MAX_INSTANCES = 1000


@dataclass(frozen=True, slots=True)
class Asked:
    """One instance; ``sha256`` of its data set (what follows group 0002), 64 lower-case hex digits."""

    sop_instance_uid: Uid
    transfer_syntax_uid: str
    sha256: str

    def __post_init__(self) -> None:
        check_sha256(self.sha256)


@dataclass(frozen=True, slots=True)
class Held:
    """What the archive has of one that was asked for; ``arrival``: when what is current came, empty if nothing is."""

    known: bool = False
    arrival: str = ""


def held_instances(workspace: Workspace, study: Uid, series: Uid, asked: Sequence[Asked]) -> list[Held]:
    """In the order asked. One consistent read while the series is in the cache or absent, its packs' heads beside it
    where it has none of these; another one, of the study's tombstones, only before anything is said to be there: a
    deletion under way counts as done.
    """
    try:
        contents = series_holding(workspace, study, series, (one.sop_instance_uid for one in asked))
    except (NotFoundError, GoneError):
        contents = None
    current = {each.sop_instance_uid: each for each in contents.instances} if contents else {}
    if not any(one.sop_instance_uid in current for one in asked):
        return [Held()] * len(asked)
    removals = read_removals(workspace.table, study_pk(workspace.archive_id, study))

    def held(one: Asked) -> Held:
        there = current.get(one.sop_instance_uid)
        if there is None or removals.hit(there.arrival, series, [one.sop_instance_uid]):
            return Held()
        same = there.transfer_syntax_uid == one.transfer_syntax_uid and hmac.compare_digest(
            there.digest, bytes.fromhex(one.sha256)[:DIGEST_SIZE]
        )
        return Held(same, there.arrival)

    return [held(one) for one in asked]
