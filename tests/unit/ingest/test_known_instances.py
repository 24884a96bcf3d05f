"""What an edge need not send: the archive's promise that it has these very bytes, and keeps them."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.instances import slice_of
from tests.support.workspaces import HOSP, QUICK, Bench

from maypacs import arrivals, ingest
from maypacs.delete import delete_instance, delete_study
from maypacs.dicom.header import parse_header
from maypacs.errors import BadRequestError
from maypacs.index.removals import tombstone_sk
from maypacs.index.rows import study_pk
from maypacs.known import Asked, Held, held_instances
from maypacs.restore import restore
from maypacs.uids import Uid

STUDY, SERIES = Uid("1.2.3"), Uid("1.2.3.1")
WHO = "user:test"


def take_in(bench: Bench, data: bytes) -> str:
    arrival = arrivals.new_arrival()
    assert ingest.ingest_object(bench.workspace(), bench.upload(arrival, data), effects=QUICK) is not None
    return arrival


def asked(data: bytes) -> Asked:
    header = parse_header(data)
    digest = hashlib.sha256(data[header.dataset_offset :]).hexdigest()
    return Asked(header.sop_instance_uid, header.transfer_syntax_uid, digest)


def known(bench: Bench, *questions: Asked) -> list[bool]:
    return [each.known for each in held_instances(bench.workspace(), STUDY, SERIES, questions)]


def test_known_is_what_is_current_with_these_bytes_in_this_syntax(tmp_path: Path) -> None:
    """Another digest, another syntax, another instance: each is sent, and ingest judges."""
    bench = Bench(tmp_path)
    first, second, never_sent = (slice_of(number=number) for number in (1, 2, 3))
    for data in (first, second):
        take_in(bench, data)
    one = asked(first)
    other_digest = replace(one, sha256="0" * 64)
    other_syntax = replace(one, transfer_syntax_uid="1.2.840.10008.1.2")
    assert known(bench, asked(never_sent), asked(second), other_digest, one, other_syntax) == [
        False,
        True,
        False,
        True,
        False,
    ]


def test_nothing_of_an_unknown_series_is_known(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    assert known(bench, asked(slice_of())) == [False]
    take_in(bench, slice_of())
    assert held_instances(bench.workspace(), STUDY, Uid("1.2.3.2"), [asked(slice_of())]) == [Held()]


def test_the_loser_of_a_conflict_is_not_known(tmp_path: Path) -> None:
    """Its bytes are kept, but its sender shall hear of the conflict."""
    bench = Bench(tmp_path)
    current, loser = slice_of(), slice_of(pixels=b"\7" * 32)
    take_in(bench, current)
    take_in(bench, loser)
    assert known(bench, asked(current), asked(loser)) == [True, False]


def test_of_what_is_not_known_it_is_said_since_when_another_is_there(tmp_path: Path) -> None:
    """What an edge sent after it and was told to be indexed is its equal; what came instead after a deletion is not."""
    bench = Bench(tmp_path)
    mine, other = asked(slice_of()), slice_of(pixels=b"\7" * 32)
    first = take_in(bench, slice_of())
    (held,) = held_instances(bench.workspace(), STUDY, SERIES, [asked(other)])
    assert held == Held(known=False, arrival=first)
    delete_instance(bench.workspace(), STUDY, SERIES, Uid("1.2.3.1.1"), WHO, effects=QUICK)
    assert held_instances(bench.workspace(), STUDY, SERIES, [mine]) == [Held()]
    second = take_in(bench, other)
    assert held_instances(bench.workspace(), STUDY, SERIES, [mine]) == [Held(known=False, arrival=second)]
    assert second > first


@pytest.mark.parametrize("whole", [True, False], ids=["the study", "the instance"])
def test_what_was_deleted_is_not_known_until_it_is_restored(tmp_path: Path, *, whole: bool) -> None:
    """Sent again after a deletion it is a new arrival: it must come."""
    bench = Bench(tmp_path)
    first, second = slice_of(number=1), slice_of(number=2)
    for data in (first, second):
        take_in(bench, data)
    if whole:
        delete_study(bench.workspace(), STUDY, WHO, effects=QUICK)
    else:
        delete_instance(bench.workspace(), STUDY, SERIES, Uid("1.2.3.1.1"), WHO, effects=QUICK)
    assert known(bench, asked(first), asked(second)) == [False, not whole]
    series, instance = (None, None) if whole else (SERIES, Uid("1.2.3.1.1"))
    restore(bench.workspace(), STUDY, series, instance, WHO, effects=QUICK)
    assert known(bench, asked(first), asked(second)) == [True, True]


@pytest.mark.parametrize("sk", [tombstone_sk(), tombstone_sk(SERIES), tombstone_sk(SERIES, Uid("1.2.3.1.1"))])
def test_a_deletion_that_is_half_done_counts_as_done(tmp_path: Path, sk: str) -> None:
    """The tombstone is written first: from then on a yes would lose what is sent after it."""
    bench = Bench(tmp_path)
    take_in(bench, slice_of())
    question = asked(slice_of())
    assert known(bench, question) == [True]
    bench.table.put({"pk": study_pk(HOSP, STUDY), "sk": sk, "v": 1, "cutoff": arrivals.new_arrival()})
    assert known(bench, question) == [False]


def test_a_question_about_a_thousand_instances_costs_two_reads_and_no_write(tmp_path: Path) -> None:
    """One when there is nothing to say yes to (and the tombstones of a series that is not there)."""
    bench = Bench(tmp_path)
    take_in(bench, slice_of())
    question = asked(slice_of())
    known(bench, question)  # the series is in the cache now
    before = bench.table.consumed.requests, bench.table.consumed.write_units, dict(bench.objects.calls)
    assert known(bench, *[question] * 1000) == [True] * 1000
    assert bench.table.consumed.requests - before[0] == 2
    assert known(bench, *[replace(question, sha256="0" * 64)] * 1000) == [False] * 1000
    assert bench.table.consumed.requests - before[0] == 4
    assert not any(known(bench, asked(slice_of(number=2))))
    assert bench.table.consumed.requests - before[0] == 5
    assert (bench.table.consumed.write_units, dict(bench.objects.calls)) == before[1:]


@pytest.mark.parametrize("digest", ["", "0" * 63, "0" * 65, "G" * 64, "A" * 64])
def test_a_digest_is_64_lower_case_hex_digits(digest: str) -> None:
    with pytest.raises(BadRequestError):
        Asked(Uid("1.2"), "1.2.840.10008.1.2.1", digest)
