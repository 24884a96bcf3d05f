"""Reasons of the cloud, as `status` and `quarantine` show them."""

from __future__ import annotations

import pytest

from edge_forwarder.spool.reasons import in_words, told
from maypacs import receipts

#: Of instances that were not kept, which an edge does not put aside; and of what no edge sends.
_NEVER_SHOWN = {receipts.DELETED, receipts.REFUSED, receipts.HL7, receipts.BAD_BUNDLE}


@pytest.mark.parametrize(
    "code", sorted(v for n, v in vars(receipts).items() if n.isupper() and isinstance(v, str) and v not in _NEVER_SHOWN)
)
def test_each_code_of_the_cloud_has_words(code: str) -> None:
    shown = in_words(f"failed: {code}")
    assert shown.startswith(f"failed: {code} (")
    assert len(shown) > len(f"failed: {code} ()") + 5


def test_what_is_not_known_is_shown_as_it_is() -> None:
    assert in_words("the upload was forgotten") == "the upload was forgotten"
    assert told(["conflict: new-code", "poison"], "partial").startswith("conflict: new-code; poison (")
    assert told([], "quarantined") == "quarantined"
