"""What of a pack the cloud holds, byte for byte."""

from __future__ import annotations

from collections.abc import Sequence

from edge_forwarder.errors import RefusedError
from edge_forwarder.inbox import ASKED, Inbox
from edge_forwarder.journal import InstanceRow
from edge_forwarder.ledger import Ledger


def held(inbox: Inbox, ledger: Ledger, members: Sequence[InstanceRow]) -> list[InstanceRow]:
    """Those of the members of one pack that need not be sent, as indexed as if they had been; none, of a cloud that has
    no such question. One whose digest is not known is not asked for. Raises CloudError.
    """
    identities = {member.name: member.identity for member in members if member.identity is not None}
    asked = [
        (identities[name].sop_instance_uid, identities[name].transfer_syntax_uid, digest)
        for name, digest in ledger.digests_of({n: i.transfer_syntax_uid for n, i in identities.items()}).items()
    ]
    found: set[str] = set()
    first = next(iter(identities.values()), None)
    try:
        for at in range(0, len(asked) if first else 0, ASKED):
            assert first is not None
            some = asked[at : at + ASKED]
            found |= inbox.known(first.study_instance_uid, first.series_instance_uid, some)
    except RefusedError:
        return []
    return [m for m in members if m.identity is not None and m.identity.sop_instance_uid in found]
