"""When a pack is closed, and what is in it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_forwarder.dicom.peek import Identity
from edge_forwarder.packing.planner import PART_OVERHEAD, ClosedPack, Limits, Planner, Received

LIMITS = Limits(
    max_bytes=100_000, max_instances=5, single_bytes=50_000, max_open=3, quiet=5.0, quiet_by_modality={"US": 30.0}
)


def received(
    sop: str,
    *,
    series: str = "1",
    number: int = 1,
    size: int = 1000,
    modality: str = "CT",
    association: int | None = None,
    stat: bool = False,
) -> Received:
    identity = Identity("2.25.1", f"2.25.1.{series}", sop, "2.25.0", "1.2.840.10008.1.2.1", modality, number)
    return Received(f"{sop}.dcm", size, identity, association, stat)


def sops(pack: ClosedPack) -> list[str]:
    return [member.identity.sop_instance_uid for member in pack.members]


def test_a_pack_closes_when_it_has_the_most_instances() -> None:
    """The fifth instance closes it at once."""
    planner = Planner(LIMITS)
    closed = [pack for n in range(5) for pack in planner.add(received(f"1.{n}"), 0.0)]
    assert [len(pack.members) for pack in closed] == [5]
    assert planner.open_count == 0


def test_a_pack_closes_before_it_would_be_too_large() -> None:
    """The instance that does not fit opens the next pack."""
    planner = Planner(LIMITS)
    assert planner.add(received("1.1", size=49_000), 0.0) == []
    assert planner.add(received("1.2", size=49_000), 0.0) == []
    (closed,) = planner.add(received("1.3", size=49_000), 0.0)
    assert sops(closed) == ["1.1", "1.2"]
    assert planner.open_count == 1


def test_a_large_instance_travels_alone_and_closes_nothing() -> None:
    """Too large to be answered inline: the open pack of its series stays open."""
    planner = Planner(LIMITS)
    planner.add(received("1.1"), 0.0)
    (alone,) = planner.add(received("1.2", size=50_001), 0.0)
    assert sops(alone) == ["1.2"]
    assert planner.open_count == 1


def test_quiet_time_depends_on_the_modality() -> None:
    """CT after 5 s, ultrasound after 30 s; each new image starts the time again."""
    planner = Planner(LIMITS)
    planner.add(received("1.1", series="1"), 0.0)
    planner.add(received("2.1", series="2", modality="US"), 0.0)
    planner.add(received("1.2", series="1"), 4.0)
    assert list(planner.due(5.0)) == []
    assert planner.next_due() == 9.0
    (ct,) = planner.due(9.0)
    assert sops(ct) == ["1.1", "1.2"]
    assert list(planner.due(29.9)) == []
    assert [sops(pack) for pack in planner.due(30.0)] == [["2.1"]]


def test_the_end_of_the_last_association_closes_what_it_sent() -> None:
    """A series that two associations send is closed by the end of the second."""
    planner = Planner(LIMITS)
    planner.add(received("1.1", association=1), 0.0)
    planner.add(received("1.2", association=2), 0.0)
    planner.add(received("2.1", series="2", association=2), 0.0)
    assert planner.association_ended(1) == []
    assert sorted(map(sops, planner.association_ended(2))) == [["1.1", "1.2"], ["2.1"]]
    assert planner.association_ended(2) == []


def test_a_modality_with_a_quiet_time_of_its_own_goes_on_in_the_next_association() -> None:
    """An ultrasound device sends each image as it is made, in an association of its own: one pack, not twenty."""
    planner = Planner(LIMITS)
    for n in range(4):
        planner.add(received(f"1.{n}", modality="US", association=n), n * 20.0)
        assert planner.association_ended(n) == []
    assert list(planner.due(89.9)) == []
    (closed,) = planner.due(90.0)
    assert sops(closed) == ["1.0", "1.1", "1.2", "1.3"]
    assert (closed.modality, closed.stat) == ("US", False)


def test_no_series_is_open_for_ever() -> None:
    """However its images come, the first of them is not kept back for longer than that."""
    planner = Planner(replace(LIMITS, max_instances=1000, longest=100.0))
    for second in range(0, 100, 4):
        planner.add(received(f"1.{second}"), float(second))
        assert list(planner.due(float(second))) == []
    assert planner.next_due() == 100.0
    assert [len(pack.members) for pack in planner.due(100.0)] == [25]


def test_stat_waits_for_nothing() -> None:
    """One of its images is enough: the pack is as urgent, and goes at the end of the association."""
    planner = Planner(LIMITS)
    planner.add(received("1.1", modality="US", association=1), 0.0)
    planner.add(received("1.2", modality="US", association=1, stat=True), 1.0)
    assert planner.next_due() == 6.0
    (closed,) = planner.association_ended(1)
    assert closed.stat


def test_the_series_that_waits_longest_is_closed_when_too_many_are_open() -> None:
    """A cap on open packs, whatever a sender interleaves."""
    planner = Planner(LIMITS)
    for n in range(3):
        planner.add(received(f"{n}.1", series=str(n)), float(n))
    (closed,) = planner.add(received("9.1", series="9"), 3.0)
    assert sops(closed) == ["0.1"]


def test_one_sop_instance_twice_goes_into_two_packs() -> None:
    """A different image under the same UID must not meet its namesake in one pack."""
    planner = Planner(LIMITS)
    planner.add(received("1.1"), 0.0)
    (closed,) = planner.add(received("1.1", size=1001), 0.0)
    assert sops(closed) == ["1.1"]
    assert planner.open_count == 1


def test_parts_are_in_order_of_instance_number_then_uid() -> None:
    """However they came: viewers read a pack from its start."""
    planner = Planner(LIMITS)
    for sop, number in (("1.3", 3), ("1.9", 1), ("1.1", 1)):
        planner.add(received(sop, number=number), 0.0)
    (closed,) = planner.close_all()
    assert sops(closed) == ["1.1", "1.9", "1.3"]


arrivals = st.lists(
    st.tuples(
        st.integers(0, 4),  # series
        st.integers(0, 30),  # SOP instance
        st.integers(1, 60_000),  # size
        st.integers(0, 3),  # association
        st.sampled_from(["add", "add", "add", "end", "due"]),
    ),
    max_size=120,
)


@given(arrivals)
def test_nothing_is_lost_and_no_pack_breaks_a_limit(events: list[tuple[int, int, int, int, str]]) -> None:
    """Every instance ends in exactly one pack; each pack is of one series, within bytes and count, no SOP twice."""
    planner, closed, names = Planner(LIMITS), [], []
    for at, (series, sop, size, association, what) in enumerate(events):
        if what == "add":
            item = received(f"{series}.{sop}", series=str(series), size=size, association=association)
            item = Received(f"{at}", item.size, item.identity, association)
            names.append(item.name)
            closed += planner.add(item, float(at))
        elif what == "end":
            closed += planner.association_ended(association)
        else:
            closed += planner.due(float(at))
        assert planner.open_count <= LIMITS.max_open
    closed += planner.close_all()
    assert sorted(member.name for pack in closed for member in pack.members) == sorted(names)
    for pack in closed:
        assert len({m.identity.series_instance_uid for m in pack.members}) == 1
        assert len(set(sops(pack))) == len(pack.members) <= LIMITS.max_instances
        size = sum(m.size + PART_OVERHEAD for m in pack.members)
        assert size <= LIMITS.max_bytes or len(pack.members) == 1


@pytest.mark.parametrize("size", [1, 50_000, 50_001, 10**9])
def test_every_size_finds_a_pack(size: int) -> None:
    """Also the one above every limit."""
    planner = Planner(LIMITS)
    closed = [*planner.add(received("1.1", size=size), 0.0), *planner.close_all()]
    assert [sops(pack) for pack in closed] == [["1.1"]]
