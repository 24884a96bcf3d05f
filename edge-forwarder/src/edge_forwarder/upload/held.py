"""What of a pack the cloud holds, byte for byte: of what was compressed here, as it is now or as it came."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from edge_forwarder.cloud.inbox import ASKED, Inbox, Named, Version
from edge_forwarder.databases.journal import InstanceRow
from edge_forwarder.databases.ledger import Ledger
from edge_forwarder.databases.sent import Sent
from edge_forwarder.dicom.syntaxes import OURS, was_compressed
from edge_forwarder.errors import RefusedError


def versions(sent: Sent) -> Iterator[Version]:
    """Of what the device sent, and of what goes up in its place; those whose digest is known."""
    if sent.digest:
        yield sent.sop_instance_uid, sent.syntax, sent.digest
    if sent.sent_as and sent.sent_syntax and was_compressed(sent.syntax, sent.sent_syntax):
        yield sent.sop_instance_uid, sent.sent_syntax, sent.sent_as


def named(ledger: Ledger, members: Sequence[InstanceRow], *, as_they_came: bool = False) -> list[Named]:
    """The members of one pack, as the cloud is asked for them: those whose digest is known; ``as_they_came``: those
    that were compressed here in both versions.
    """
    identities = {member.name: member.identity for member in members if member.identity is not None}
    first = next(iter(identities.values()), None)
    if first is None:
        return []
    asked: list[Version] = []
    for name, digest in ledger.digests_of({n: i.transfer_syntax_uid for n, i in identities.items()}).items():
        now = identities[name].sop_instance_uid, identities[name].transfer_syntax_uid, digest
        asked.append(now)
        if as_they_came and now[1] in OURS:
            sent = next((row for row in ledger.sent(now[0]) if row.file == name), None)
            asked += [version for version in versions(sent) if version != now] if sent is not None else []
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
