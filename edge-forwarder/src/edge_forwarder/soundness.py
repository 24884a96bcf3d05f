"""Files of a pack that are not what they were: one of them must not hold up the others for ever.

A disk may lose what it was given, or give back something else. Both show when the pack is sent: it cannot be read, or
what arrives is not what was granted. Then each file is looked at by itself: what cannot be read, or is not what it was
when its digest was first taken, is named.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from typing import Final

from edge_forwarder import packs
from edge_forwarder.errors import UnreadableError
from edge_forwarder.journal import InstanceRow
from edge_forwarder.peek import Identity, identify
from edge_forwarder.spool import Spool

UNREADABLE: Final = "unreadable-here: the disk does not give the file back"
SPOILT: Final = "spoilt-here: the file is not what it was when it was received"
#: A file is looked at after so many failures to read its pack: a disk may have a bad moment.
FAILURES: Final = 3
#: What an error says of one file, not of the machine (no memory, no descriptors, a share that is away).
_ITS_OWN: Final = frozenset(
    {errno.EIO, errno.EACCES, errno.EPERM, errno.EISDIR, errno.EUCLEAN, errno.EBADMSG, errno.ENODATA, errno.EILSEQ}
)


def unsound(spool: Spool, members: Sequence[InstanceRow], digests: Mapping[str, str]) -> dict[InstanceRow, str]:
    """Which of them, and why. ``digests``: SHA-256 of data sets by file, as first taken. Raises OSError for what is not
    a file's own fault.
    """
    found = {}
    for member in members:
        path = spool.path(member.name)
        try:
            now, identity = packs.data_set_sha256(path), identify(path) if member.identity else None
            known = digests.get(member.name)
            if known is not None and (now != known or not _is_same(member.identity, identity)):
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


def _is_same(before: Identity | None, now: Identity | None) -> bool:
    """The data set's digest does not cover group 0002."""
    if before is None or now is None:
        return before is now
    return (before.sop_instance_uid, before.transfer_syntax_uid) == (now.sop_instance_uid, now.transfer_syntax_uid)
