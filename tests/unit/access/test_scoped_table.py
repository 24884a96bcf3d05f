"""A scoped table reaches one archive and no other."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maypacs.access.scoped import ScopedTable
from maypacs.errors import ForbiddenError
from maypacs.index.table import BY_DATE, Consumed, Page, Table
from maypacs.uids import ArchiveId

HOSP1 = ArchiveId("hosp1")
OTHERS = ["hosp10#S#1.2", "hosp1", "hosp#S#1.2", "#S#1.2", "", "HOSP1#S#1.2", " hosp1#S#1.2", "xhosp1#S#1.2"]


def row(pk: str, gpk: str | None = None) -> dict[str, object]:
    return {"pk": pk, "sk": "0"} | ({} if gpk is None else {"gpk": gpk, "gsk": "20260101#1.2"})


@pytest.mark.parametrize("pk", OTHERS)
def test_every_operation_refuses_a_partition_of_another_archive(index: Table, pk: str) -> None:
    """Reads and writes alike, whether or not there is such a row."""
    scoped = ScopedTable(index, HOSP1)
    for attempt in (
        lambda: scoped.get(pk, "0"),
        lambda: scoped.put(row(pk)),
        lambda: scoped.update(pk, "0", set={"a": 1}),
        lambda: scoped.delete(pk, "0"),
        lambda: scoped.query(pk),
        lambda: scoped.query(pk, index=BY_DATE),
    ):
        with pytest.raises(ForbiddenError):
            attempt()
    if pk:
        assert index.get(pk, "0") is None


def test_its_own_rows_are_read_and_written_as_ever(index: Table) -> None:
    """The wrapper changes nothing for the archive itself, in the index too."""
    scoped = ScopedTable(index, HOSP1)
    scoped.put(row("hosp1#S#1.2", "hosp1#D#202601"))
    scoped.update("hosp1#S#1.2", "0", set={"a": 1})
    assert scoped.get("hosp1#S#1.2", "0") == {**row("hosp1#S#1.2", "hosp1#D#202601"), "a": 1}
    assert [i["pk"] for i in scoped.query("hosp1#D#202601", index=BY_DATE).items] == ["hosp1#S#1.2"]
    scoped.delete("hosp1#S#1.2", "0")
    assert scoped.query("hosp1#S#1.2").items == []


def test_a_row_cannot_be_put_into_the_index_of_another_archive(index: Table) -> None:
    """The index's partition key is checked like the row's own, in put and in update."""
    scoped = ScopedTable(index, HOSP1)
    with pytest.raises(ForbiddenError):
        scoped.put(row("hosp1#S#1.2", "hosp10#D#202601"))
    scoped.put(row("hosp1#S#1.2"))
    with pytest.raises(ForbiddenError):
        scoped.update("hosp1#S#1.2", "0", set={"gpk": "hosp10#D#202601", "gsk": "x"})
    assert index.query("hosp10#D#202601", index=BY_DATE).items == []


def test_a_page_cannot_start_in_another_archive(index: Table) -> None:
    """A start key comes back from a client in some form: it is checked like a key."""
    scoped = ScopedTable(index, HOSP1)
    with pytest.raises(ForbiddenError):
        scoped.query("hosp1#S#1.2", start={"pk": "hosp10#S#1.2", "sk": "0"})
    with pytest.raises(ForbiddenError):
        scoped.query("hosp1#D#202601", index=BY_DATE, start={"pk": "hosp1#S#1", "sk": "0", "gpk": "hosp10#D#1"})


def test_a_foreign_row_that_an_engine_returns_by_mistake_is_not_passed_on(index: Table) -> None:
    """Belt and braces: what comes back is checked too."""

    class Faulty:
        consumed = Consumed()

        def get(self, pk: str, sk: str, *, consistent: bool = True) -> dict[str, object]:
            return row("hosp10#S#1.2")

        def query(self, pk: str, **_: object) -> Page:
            return Page([row("hosp10#S#1.2")], None)

    scoped = ScopedTable(Faulty(), HOSP1)  # type: ignore[arg-type]
    with pytest.raises(ForbiddenError):
        scoped.get("hosp1#S#1.2", "0")
    with pytest.raises(ForbiddenError):
        scoped.query("hosp1#S#1.2")


class Recorder:
    """A table that only notes which partitions it was asked for."""

    consumed = Consumed()

    def __init__(self) -> None:
        self.asked: list[str] = []

    def get(self, pk: str, sk: str, *, consistent: bool = True) -> None:
        self.asked.append(pk)


ids = st.text("abc01-", min_size=3, max_size=6)


@given(own=ids, other=ids, rest=st.text(max_size=8))
def test_whatever_the_two_ids_only_the_own_prefix_passes(own: str, other: str, rest: str) -> None:
    """For any pair of archives and any rest of a key, only ``{own}#…`` reaches the engine."""
    recorder = Recorder()
    scoped = ScopedTable(recorder, ArchiveId(own))  # type: ignore[arg-type]
    for pk in (f"{other}#{rest}", other + rest, rest):
        try:
            scoped.get(pk, "0")
        except ForbiddenError:
            continue
    assert all(pk.startswith(own + "#") for pk in recorder.asked)
    assert (f"{other}#{rest}" in recorder.asked) or other != own
