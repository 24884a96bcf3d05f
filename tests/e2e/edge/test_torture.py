"""A short storm of `make torture`: everything at random dies, fails, fills up; nothing acknowledged is lost.

The dice are always the same, as those of the suite's other tests of properties; `make torture` looks for what is new.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.stub_edge import write_ct
from tests.torture.compressed import is_the_same
from tests.torture.run import torture

from edge_forwarder.compression.codecs import CODECS
from edge_forwarder.compression.instance import compress

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

#: It draws samples whose file meta and data set name different instances, two of them in conflict; and compresses the
#: samples by one codec, the rest by the other.
SEED = 2906242268


def test_a_storm_loses_nothing(tmp_path: Path) -> None:
    """`make torture TORTURE="--seed 2906242268 --storm 20 --instances 400"` brings the same dice again."""
    outcome = torture(SEED, seconds=20, instances=400, folder=tmp_path / "torture")
    print(outcome.text())
    assert not outcome.faults, outcome.text()
    assert outcome.compressed
    assert outcome.verdict.taken == len(outcome.answers.sent) > 400


def test_what_is_no_image_that_was_sent_is_not_taken_for_one_that_was_compressed(tmp_path: Path) -> None:
    """The torture's judge: a bit of the pixels, or of any attribute, is a difference."""
    sent = write_ct(tmp_path / "a.dcm", sop="2.25.1", size=32 * 1024).read_bytes()
    for name, codec in CODECS.items():
        compressed = compress(sent, codec)
        assert is_the_same(sent, compressed), name
        for offset in (-1000, sent.rindex(b"2.25.1") + 5):
            other = bytearray(sent)
            other[offset] ^= 1
            assert not is_the_same(bytes(other), compressed), name
