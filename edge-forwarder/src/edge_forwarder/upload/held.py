"""What of a pack the cloud holds, byte for byte."""

from __future__ import annotations

from collections.abc import Sequence

from edge_forwarder.cloud.inbox import ASKED, Inbox, Named
from edge_forwarder.databases.journal import InstanceRow
from edge_forwarder.databases.ledger import Ledger
from edge_forwarder.errors import RefusedError


def named(ledger: Ledger, members: Sequence[InstanceRow]) -> list[Named]:
    """The members of one pack, as the cloud is asked for them: those whose digest is known."""
    identities = {member.name: member.identity for member in members if member.identity is not None}
    first = next(iter(identities.values()), None)
    if first is None:
        return []
    asked = [
        (identities[name].sop_instance_uid, identities[name].transfer_syntax_uid, digest)
        for name, digest in ledger.digests_of({n: i.transfer_syntax_uid for n, i in identities.items()}).items()
    ]
    place = first.study_instance_uid, first.series_instance_uid
    return [Named(*place, tuple(asked[at : at + ASKED])) for at in range(0, len(asked), ASKED)]


def held(inbox: Inbox, ledger: Ledger, members: Sequence[InstanceRow]) -> list[InstanceRow]:
    """Those of the members of one pack that need not be sent, as indexed as if they had been; none, of a cloud that has
    no such question. Raises CloudError.
    """
    found: set[str] = set()
    try:
        for some in named(ledger, members):
            found |= inbox.known(some.study, some.series, some.instances)
    except RefusedError:
        return []
    return [m for m in members if m.identity is not None and m.identity.sop_instance_uid in found]
