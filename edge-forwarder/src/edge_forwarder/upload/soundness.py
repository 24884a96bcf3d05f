"""Files of a pack that are not what they were: one of them must not hold up the others for ever.

A disk may lose what it was given, or give back something else. Both show when the pack is sent: it cannot be read, or
what arrives is not what was granted. Then each file is looked at by itself: what cannot be read, or is not what it was
when its digest was first taken, is named.
"""

from __future__ import annotations

import errno
from collections.abc import Sequence
from typing import Final

from edge_forwarder.databases.journal import InstanceRow
from edge_forwarder.databases.ledger import Ledger
from edge_forwarder.dicom.peek import Identity, identify
from edge_forwarder.dicom.syntaxes import was_compressed
from edge_forwarder.errors import UnreadableError
from edge_forwarder.packing import packs
from edge_forwarder.spool.folder import Spool

UNREADABLE: Final = "unreadable-here: the disk does not give the file back"
SPOILT: Final = "spoilt-here: the file is not what it was when it was received"
#: A file is looked at after so many failures to read its pack: a disk may have a bad moment.
FAILURES: Final = 3
#: What an error says of one file, not of the machine (no memory, no descriptors, a share that is away), nor of who runs
#: it: a wrong chown must not set aside all that waits.
_ITS_OWN: Final = frozenset({errno.EIO, errno.EISDIR, errno.EUCLEAN, errno.EBADMSG, errno.ENODATA, errno.EILSEQ})


def unsound(spool: Spool, members: Sequence[InstanceRow], ledger: Ledger) -> dict[InstanceRow, str]:
    """Which of them, and why, by what journal and ledger know of each. Raises OSError for what is not a file's own
    fault.
    """
    found = {}
    for member in members:
        path = spool.path(member.name)
        try:
            now, identity = packs.data_set_sha256(path), identify(path) if member.identity else None
            syntax = identity.transfer_syntax_uid if identity else None
            known = ledger.digests_of({member.name: syntax})
            if known.get(member.name, now) != now or not _is_same(member, identity, path.stat().st_size):
                found[member] = SPOILT
        except FileNotFoundError:  # the next look counts it
            continue
        except UnreadableError:
            found[member] = SPOILT
        except OSError as error:
            if error.errno not in _ITS_OWN:
                raise
            found[member] = UNREADABLE
    return found


def _is_same(member: InstanceRow, now: Identity | None, size: int) -> bool:
    """The data set's digest does not cover group 0002, and is not known of what was never sent."""
    before = member.identity
    if before is None or now is None:
        return before is now and size == member.size
    if before.sop_instance_uid != now.sop_instance_uid:
        return False
    if before.transfer_syntax_uid == now.transfer_syntax_uid:
        return size == member.size
    # Compressed here, and the journal is older: a power cut came.
    return was_compressed(before.transfer_syntax_uid, now.transfer_syntax_uid)
