"""What `migrate` remembers of one source, in a SQLite file of the spool: days asked, studies found, images missing.

An image's row lives while its study is not done; a study's row stays, as the proof of what was moved. The file may be
deleted: everything is then asked once more, and what the cloud has is not fetched again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from edge_forwarder.databases.database import Database

_SCHEMA = """
create table days (day text primary key, complete integer not null) without rowid;
create table studies (
  study text primary key, day text not null, counted integer, listed integer, arrived integer not null default 0,
  indexed integer not null default 0, there integer not null default 0, state text not null, note text not null
) without rowid;
create index studies_by_state on studies (state);
create index studies_by_day on studies (day);
create table images (
  study text not null, sop text not null, series text not null, sop_class text not null, fate text not null,
  primary key (study, sop)
) without rowid;
"""


class StudyState(StrEnum):
    OPEN = "open"
    """Not fetched, or not all of it."""
    ARRIVED = "arrived"
    """All of it is in the spool, or beyond."""
    DONE = "done"
    """All of it is in the cloud."""
    DIFFERS = "differs"


class Fate(StrEnum):
    MISSING = "missing"
    """It has not come."""
    ARRIVED = "arrived"
    INDEXED = "indexed"
    THERE = "there"
    """The cloud had an image of this UID before, in this series and of this SOP class; its bytes were not compared."""
    CONFLICT = "conflict"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Study:
    """``counted``: images as the source counts them; ``listed``: as it lists them one by one; None: it does not say."""

    uid: str
    day: str
    counted: int | None
    listed: int | None
    arrived: int
    indexed: int
    there: int
    state: StudyState
    note: str

    @property
    def at_source(self) -> int | None:
        return max((n for n in (self.counted, self.listed) if n is not None), default=None)


@dataclass(frozen=True, slots=True)
class Image:
    sop: str
    series: str
    sop_class: str
    fate: Fate = Fate.MISSING


class MigrationState(Database):
    noun = "migration"
    schema = _SCHEMA
    schema_version = 1
    #: After a power cut something may be asked again.
    synced = False

    def is_complete(self, day: str) -> bool:
        return bool(self._rows("select 1 from days where day = ? and complete = 1", day))

    def incomplete_days(self) -> list[str]:
        """Of which the source did not list everything."""
        return [row["day"] for row in self._rows("select day from days where complete = 0 order by day")]

    def found(self, day: str, studies: Mapping[str, int | None], *, complete: bool) -> None:
        """Studies of a day with their counts. One that has more images than before is opened again."""
        with self.transaction():
            for study, counted in studies.items():
                self._do(
                    "insert into studies (study, day, counted, state, note) values (?,?,?,?,'')"
                    " on conflict (study) do update set state = case"
                    " when excluded.counted > coalesce(studies.counted, 0) then excluded.state else studies.state end,"
                    " counted = coalesce(excluded.counted, studies.counted)",
                    study,
                    day,
                    counted,
                    StudyState.OPEN,
                )
            self._do("insert or replace into days values (?,?)", day, int(complete))

    def studies(self, *states: StudyState, day: str | None = None) -> list[Study]:
        marks = ",".join("?" * len(states))
        sql = f"select * from studies where state in ({marks})"  # noqa: S608 - only marks
        rows = (
            self._rows(f"{sql} and day = ? order by study", *states, day)
            if day is not None
            else self._rows(sql, *states)
        )
        return [
            Study(
                uid=row["study"],
                **{k: row[k] for k in row.keys() if k not in ("study", "state")},  # noqa: SIM118
                state=StudyState(row["state"]),
            )
            for row in rows
        ]

    def study(self, uid: str) -> Study:
        row = self._rows("select * from studies where study = ?", uid)[0]
        values = {key: row[key] for key in row.keys() if key not in ("study", "state")}  # noqa: SIM118
        return Study(uid=uid, state=StudyState(row["state"]), **values)

    def reopen(self) -> None:
        """What differed is tried again by a new run."""
        self._do("update studies set state = ?, note = '' where state = ?", StudyState.OPEN, StudyState.DIFFERS)

    def totals(self) -> dict[str, tuple[int, int, int, int]]:
        """By state: studies, images at the source, images in the cloud, of those there before."""
        rows = self._rows(
            "select state, count(*) as n, sum(max(coalesce(counted,0), coalesce(listed,0))) as at_source,"
            " sum(indexed + there) as indexed, sum(there) as there from studies group by state"
        )
        return {row["state"]: (row["n"], row["at_source"], row["indexed"], row["there"]) for row in rows}

    # Images

    def images(self, study: str) -> list[Image]:
        rows = self._rows("select * from images where study = ? order by series, sop", study)
        return [Image(row["sop"], row["series"], row["sop_class"], Fate(row["fate"])) for row in rows]

    def list_images(self, study: str, images: Iterable[Image], *, listed: bool) -> None:
        """Add images of a study that are not known yet; ``listed``: these are all that the source lists."""
        with self.transaction():
            for image in images:
                self._do(
                    "insert or ignore into images values (?,?,?,?,?)",
                    study,
                    image.sop,
                    image.series,
                    image.sop_class,
                    image.fate,
                )
            if listed:
                sql = "update studies set listed = (select count(*) from images where study = ?) where study = ?"
                self._do(sql, study, study)

    def settle(self, study: str, fates: Mapping[str, Fate], state: StudyState, note: str = "") -> None:
        """Write down where the images and the study are; a study that is done needs its images no more."""
        with self.transaction():
            for sop, fate in fates.items():
                self._do("update images set fate = ? where study = ? and sop = ?", fate, study, sop)
            counts = {
                row["fate"]: row["n"]
                for row in self._rows("select fate, count(*) as n from images where study = ? group by fate", study)
            }
            there, indexed = counts.get(Fate.THERE, 0), counts.get(Fate.INDEXED, 0)
            arrived = sum(counts.values()) - there - counts.get(Fate.MISSING, 0)
            self._do(
                "update studies set arrived = ?, indexed = ?, there = ?, state = ?, note = ? where study = ?",
                arrived,
                indexed,
                there,
                state,
                note,
                study,
            )
            if state == StudyState.DONE:
                self._do("delete from images where study = ?", study)
