"""The reasons that the cloud gives by code, in words for the people at the hospital."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_WORDS: Final = {
    "differs-from-current": "the archive had another image of the same UID before and shows that one; it keeps both "
    "until somebody decides there",
    "not-dicom": "no DICOM file",
    "unreadable": "DICOM, but damaged or cut short: send it again from the device",
    "missing-uid": "it does not say which study, series or image it is: the device must be put right",
    "study-mismatch": "it names another study than the upload does",
    "bad-pack": "the upload arrived damaged: release it to send it again",
    "damaged-on-the-way": "the upload arrived damaged: release it to send it again",
    "too-large": "larger than the archive takes",
    "encrypted": "encrypted",
    "empty": "it holds nothing",
    "poison": "the cloud could not take it in, again and again: its operator should look, then release it",
    "no-such-archive": "the archive was closed, or never opened: its operator should look, then release it",
}


def in_words(reason: str) -> str:
    """A reason as it is kept (``conflict: differs-from-current``), and what that means if it is one we know."""
    words = _WORDS.get(reason.rpartition(": ")[2])
    return f"{reason} ({words})" if words else reason


def told(reasons: Iterable[str], state: str) -> str:
    """In one line; without reasons the state of the upload."""
    return "; ".join(map(in_words, reasons)) or state
