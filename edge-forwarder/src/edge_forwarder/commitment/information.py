"""What a storage commitment's messages carry (PS3.4 J.3). Pure."""

from __future__ import annotations

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from edge_forwarder.databases.commitments import Commitment, Reference
from edge_forwarder.dicom import values
from edge_forwarder.dimse.statuses import EventType
from edge_forwarder.errors import UnreadableError


def read(data_set: bytes, transfer_syntax: str) -> tuple[str, list[Reference]]:
    """The action information (table J.3-1): transaction UID and what it asks for. Raises UnreadableError."""
    information = values.decode(data_set, transfer_syntax)
    uid = values.text(information, "TransactionUID")
    items = information.get("ReferencedSOPSequence")
    wanted = [
        Reference(values.text(item, "ReferencedSOPClassUID"), values.text(item, "ReferencedSOPInstanceUID"))
        for item in (items if isinstance(items, Sequence) else ())
    ]
    if not uid or not wanted or not all(r.sop_class_uid and r.sop_instance_uid for r in wanted):
        raise UnreadableError("transaction UID or referenced instances are missing")
    return uid, list(dict.fromkeys(wanted))


def report(commitment: Commitment, ae_title: str, transfer_syntax: str) -> tuple[EventType, bytes]:
    """The event and its information (table J.3-2) of one that is decided; ``ae_title``: where to retrieve from."""
    assert commitment.outcome is not None
    information = Dataset()
    information.RetrieveAETitle = ae_title
    information.TransactionUID = commitment.uid
    good, bad = [], []
    for reference, reason in zip(commitment.wanted, commitment.outcome, strict=True):
        item = Dataset()
        item.ReferencedSOPClassUID = reference.sop_class_uid
        item.ReferencedSOPInstanceUID = reference.sop_instance_uid
        if reason is None:
            good.append(item)
        else:
            item.FailureReason = int(reason)
            bad.append(item)
    if good:
        information.ReferencedSOPSequence = good
    if bad:
        information.FailedSOPSequence = bad
    event = EventType.FAILURES_EXIST if bad else EventType.COMMITTED
    return event, values.encode(information, transfer_syntax)
