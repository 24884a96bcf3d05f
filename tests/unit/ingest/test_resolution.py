"""The rule of what is current, alone."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from maypacs.index.pack_rows import Choice, PackHead
from maypacs.index.resolution import Copy, OpenPack, resolve
from maypacs.pack.instance_table import InstanceRow
from maypacs.uids import ArchiveId, Uid


def head(arrival: int, name: str) -> PackHead:
    empty: tuple[str, ...] = ()
    return PackHead(
        archive_id=ArchiveId("hosp1"),
        study_instance_uid=Uid("1"),
        series_instance_uid=Uid("2"),
        pack_id=name,
        arrival=f"{arrival:026}",
        size=1,
        instance_bytes=1,
        count=1,
        boundary="b",
        joinable=True,
        replaces=empty,
        attributes={},
        sop_classes=empty,
        transfer_syntaxes=empty,
        patient_ids=empty,
        patient_names=empty,
        accession_numbers=empty,
        uid_hashes=b"",
        table_in_row=True,
    )


def row(uid: int, digest: int) -> InstanceRow:
    return InstanceRow(Uid(f"9.{uid}"), Uid("1.1"), "1.2.840.10008.1.2.1", 0, 1, bytes([digest]) * 16, 1, uid, None)


packs = st.lists(
    st.tuples(st.integers(0, 3), st.lists(st.tuples(st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=4)),
    min_size=1,
    max_size=5,
).map(
    lambda drawn: [
        OpenPack(head(arrival, f"p{index}"), tuple(row(uid, digest) for uid, digest in rows))
        for index, (arrival, rows) in enumerate(drawn)
    ]
)
choices = st.dictionaries(
    st.integers(0, 3).map(lambda uid: f"9.{uid}"),
    st.tuples(st.integers(0, 3), st.lists(st.integers(0, 2), max_size=2)).map(
        lambda drawn: Choice(named(drawn[0]), tuple(map(named, drawn[1])))
    ),
)


def named(digest: int) -> str:
    return f"1.2.840.10008.1.2.1:{(bytes([digest]) * 16).hex()}"


def places(copies: list[Copy]) -> set[tuple[str, int]]:
    return {(copy.pack.head.pack_id, copy.position) for copy in copies}


@given(opened=packs, decided=choices, order=st.randoms(use_true_random=False))
def test_every_copy_is_exactly_one_of_current_duplicate_and_conflict(
    opened: list[OpenPack], decided: dict[str, Choice], order: object
) -> None:
    """One current copy a UID; nothing is lost; the order in which packs are read makes no difference."""
    found = resolve(opened, decided)
    groups = [places(list(found.current.values())), places(list(found.duplicates)), places(list(found.conflicts))]
    everything = {(pack.head.pack_id, at) for pack in opened for at in range(len(pack.rows))}
    assert set.union(*groups) == everything
    assert sum(map(len, groups)) == len(everything)
    assert set(found.current) == {each.sop_instance_uid for pack in opened for each in pack.rows}
    shuffled = list(opened)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    again = resolve(shuffled, decided)
    assert places(list(again.current.values())) == groups[0]
    assert {(c.row.sop_instance_uid, c.version) for c in again.conflicts} == {
        (c.row.sop_instance_uid, c.version) for c in found.conflicts
    }


@given(opened=packs, decided=choices)
def test_a_decision_is_followed_and_else_the_smallest_arrival_is(
    opened: list[OpenPack], decided: dict[str, Choice]
) -> None:
    """A choice of what is not there (any more) decides nothing."""
    found = resolve(opened, decided)
    for uid, copy in found.current.items():
        copies = [
            Copy(pack, at) for pack in opened for at, each in enumerate(pack.rows) if each.sop_instance_uid == uid
        ]
        chosen = [each for each in copies if uid in decided and each.version == decided[uid].current]
        assert copy.order == min(each.order for each in chosen or copies)
        differing = (
            {each.version for each in copies} - {copy.version} - set(decided[uid].equal if uid in decided else ())
        )
        assert {each.version for each in found.conflicts if each.row.sop_instance_uid == uid} == differing
        assert (uid in found.undecided) == bool(differing and not chosen)
