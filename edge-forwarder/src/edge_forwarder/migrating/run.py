"""`migrate`: everything of another PACS into the archive, day by day, newest first, at the pace that it may have.

For each study: what images the source lists, which of them the archive has, the others sent to us (C-MOVE: as any
device would, to the edge that runs; C-GET: handed over by this process), and then what the ledger says became of them.
Each step is written down (`migration`), so a run that ends in any way goes on where it was.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from urllib.parse import quote

from edge_forwarder.cloud import retry
from edge_forwarder.config import Config
from edge_forwarder.dimse.statuses import Status
from edge_forwarder.errors import (
    ConfigError,
    DeclinedError,
    EdgeError,
    QueryError,
    SpoolFullError,
    TooManyError,
    UnreadableError,
)
from edge_forwarder.migrating.patience import LONGEST_PAUSE, Patience, give_up_for_good
from edge_forwarder.migrating.periods import Days, Window
from edge_forwarder.migrating.query_scu import Retrieved, Taker
from edge_forwarder.migrating.source_pacs import Found, SourcePacs
from edge_forwarder.migrating.state import Fate, Image, MigrationState, Study, StudyState
from edge_forwarder.migrating.whereabouts import Whereabouts
from edge_forwarder.progress import Progress
from edge_forwarder.spool.handover import Handover
from edge_forwarder.spool.lock import is_locked

#: In the place of a calling AE title: too long to be one.
LABEL: Final = "maypacs-edge migrate"
#: Images that may wait in the spool for the uplink.
AHEAD: Final = 5000
#: Days that may still get studies are asked again by every run.
_FRESH: Final = timedelta(days=2)
#: A longer time is first asked about as a whole (days).
_MONTH: Final = 31
_TRIES: Final = 3
#: The keeper is at most so far behind what the source has sent (seconds).
_BEHIND: Final = 3.0
_LOOK_SECONDS: Final = 0.5
#: A source that is there, and has no usable answer to one question.
_NO_ANSWER: Final = (DeclinedError, UnreadableError, QueryError, TooManyError)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be moved, and how gently. ``per_hour``: images, 0 for no limit."""

    days: Days
    undated: bool
    by_get: bool = False
    per_hour: float = 0.0
    window: Window | None = None
    longest_pause: float = LONGEST_PAUSE


class Migrating:
    """One run; a context manager, which keeps a second run of the same edge out."""

    def __init__(self, config: Config, source: SourcePacs, title: str, plan: Plan, progress: Progress) -> None:
        self._config, self._source, self._plan, self._progress = config, source, plan, progress
        self._path = config.spool_folder / f"migration-{quote(title.strip(), safe='')}.sqlite"
        self._handover = Handover(config, "migrate")
        self._patience = Patience(config.edge.ae_title, plan.longest_pause, self._show)
        self._free_at = 0.0
        """When the rate allows the next retrieve (monotonic)."""
        self._doing = ""
        self._looked_at = self._shown_at = 0.0
        self._on_their_way = 0

    def __enter__(self) -> Migrating:
        self._whereabouts = Whereabouts(self._config)
        self._handover.open()
        self.state = MigrationState.open(self._path)
        return self

    def __exit__(self, *_: object) -> None:
        self.state.close()
        self._handover.close()
        self._whereabouts.close()

    def run(self) -> None:
        """All of it. Raises EdgeError when the source cannot be used (any more)."""
        self.state.reopen()
        fresh = datetime.now().astimezone().date() - _FRESH
        for day in self._days(self._plan.days):
            self._doing = f"studies of {day}"
            self._day(f"{day:%Y%m%d}", again=day > fresh)
        if self._plan.undated:
            self._doing = "studies without a date"
            self._day("", again=True)
        self._doing = "the rest is on its way"
        while self._look():
            self._pause()

    def _days(self, days: Days) -> Iterator[date]:
        """Newest first, without months and years in which the source has nothing."""
        if days.count <= _MONTH:
            yield from days.newest_first()
            return
        self._doing = f"studies of {days.first} to {days.last}"
        if self._patience.ask(lambda: self._source.has_studies(days)):
            for half in days.halves():
                yield from self._days(half)

    def _day(self, day: str, *, again: bool) -> None:
        if again or not self.state.is_complete(day):
            try:
                found = self._patience.ask(lambda: self._source.studies(day))
            except _NO_ANSWER:
                found = Found({}, complete=False)
            self.state.found(day, found.studies, complete=found.complete)
        for study in self.state.studies(StudyState.OPEN, day=day):
            self._study(study)
        self._show()

    # One study

    def _study(self, study: Study) -> None:
        note = ""
        for attempt in range(1, _TRIES + 1):
            self._wait_for_leave()
            listed = self._patience.ask(lambda: self._images(study.uid))
            self.state.list_images(study.uid, listed or (), listed=listed is not None)
            try:
                note = self._attempt(study, is_listed=listed is not None, is_first=attempt == 1)
            except ConfigError:
                raise
            except EdgeError as error:  # the association broke, or what came cannot be read
                give_up_for_good(error)
                note = str(error)
            if not note:
                self._settle(study.uid, StudyState.ARRIVED)
                return
            if attempt < _TRIES:
                time.sleep(retry.pause(attempt, self._plan.longest_pause))
        self._settle(study.uid, StudyState.DIFFERS, note)

    def _images(self, study: str) -> list[Image] | None:
        try:
            return self._source.images(study)
        except _NO_ANSWER:
            return None

    def _attempt(self, study: Study, *, is_listed: bool, is_first: bool) -> str:
        """Fetch what is missing; why something still is, empty when nothing is. Raises EdgeError."""
        uid, note = study.uid, ""
        self.state.settle(uid, self._whereabouts.in_cloud(uid, self.state.images(uid)), StudyState.OPEN)
        self._settle(uid, StudyState.OPEN)
        images = self.state.images(uid)
        missing = _missing(images)
        if missing or not images:
            note = self._retrieve(uid, images, [] if is_first and len(missing) == len(images) else missing)
            here = len(images) - len(missing)
            images = self.state.images(uid)
            missing = _missing(images)
            if self._plan.per_hour:
                came = len(images) - len(missing) - here
                self._free_at = max(self._free_at, time.monotonic()) + came * 3600 / self._plan.per_hour
        if missing or not images or len(images) < (study.counted or 0):
            return note or "the source did not send all that it has"
        return "" if is_listed else note

    def _retrieve(self, study: str, images: list[Image], some: list[Image]) -> str:
        """All of a study at first, then some of it; why it did not end well, empty when it did. Raises EdgeError."""
        try:
            if self._plan.by_get:
                taker = Taker(lambda: self._handover.begin(LABEL), lambda *_: self._show("images are coming"))
                got = self._source.get(study, {image.sop_class for image in images}, taker, some)
            else:
                got = self._source.move(study, some)
        finally:
            self._await_arrival(study)
        if got.status == Status.MOVE_DESTINATION_UNKNOWN:
            raise ConfigError(f"the source does not know where to send: enter there {self._where_we_are}")
        if got.status == Status.SUCCESS:
            return ""
        note = f"the source ends with status {got.status:04X}{_counts(got)}"
        # One that tried nothing may have no other answer to a destination that it does not know.
        is_lost = not self._plan.by_get and not got.done.completed and not got.done.failed
        return f"{note}. Is entered there: {self._where_we_are}?" if is_lost else note

    @property
    def _where_we_are(self) -> str:
        edge = self._config.edge
        return f"our AE title {edge.ae_title}, this machine's address and port {edge.port}"

    def _await_arrival(self, study: str) -> None:
        """The keeper takes note of what came; images that were not listed are noted, too."""
        deadline, before = time.monotonic() + _BEHIND, -1
        while time.monotonic() < deadline:
            known = self._whereabouts.sent_of(study)
            self.state.list_images(study, [Image(sop, "", "") for sop in known], listed=False)
            self._settle(study, StudyState.OPEN)
            if known and not _missing(self.state.images(study)):
                return
            if len(known) != before:
                deadline, before = time.monotonic() + _BEHIND, len(known)
            time.sleep(_LOOK_SECONDS / 5)

    def _settle(self, study: str, state: StudyState, note: str = "") -> None:
        self.state.settle(study, self._whereabouts.sent_of(study), state, note)

    def _look(self) -> int:
        """Of studies that have arrived, is all in the cloud? How many images are still on their way."""
        self._looked_at = time.monotonic()
        arrived = [study.uid for study in self.state.studies(StudyState.ARRIVED)]
        self._on_their_way = 0
        for study, fates in self._whereabouts.sent(arrived).items():
            self.state.settle(study, fates, StudyState.ARRIVED)
            now = [image.fate for image in self.state.images(study)]
            self._on_their_way += now.count(Fate.ARRIVED)
            if all(fate in (Fate.INDEXED, Fate.THERE) for fate in now):
                self.state.settle(study, {}, StudyState.DONE)
            elif Fate.ARRIVED not in now:
                self.state.settle(study, {}, StudyState.DIFFERS, "the cloud did not take all of it as it is")
        return self._on_their_way

    # Patience

    def _wait_for_leave(self) -> None:
        """For the window, the rate, room on the disk and in the spool, and an edge that takes what comes."""
        while note := self._obstacle():
            self._pause(note)
        self._show()

    def _obstacle(self) -> str:
        """What is in the way of the next retrieve; empty: nothing."""
        if time.monotonic() > self._looked_at + _LOOK_SECONDS:
            self._look()
        if self._plan.window and (left := self._plan.window.seconds_until(datetime.now().astimezone())):
            return f"waits {left / 3600:.1f} h for its hours"
        if (left := self._free_at - time.monotonic()) > 0:
            return f"waits {left:.0f} s, for the rate"
        if not is_locked(self._config.spool_folder):
            return "no edge is running: start it, and this goes on"
        if self._on_their_way > AHEAD:
            return "waits for the uplink"
        try:
            self._handover.check_room(0)
        except SpoolFullError as error:
            return f"waits: {error}"
        return ""

    def _pause(self, note: str = "") -> None:
        time.sleep(_LOOK_SECONDS)
        self._look()
        self._show(note)

    def _show(self, note: str = "") -> None:
        if time.monotonic() < self._shown_at + _LOOK_SECONDS:
            return
        self._shown_at = time.monotonic()
        totals = self.state.totals()
        done = sum(totals.get(state, (0, 0, 0, 0))[0] for state in (StudyState.DONE, StudyState.ARRIVED))
        words = [self._doing]
        if StudyState.DIFFERS in totals:
            words.append(f"{totals[StudyState.DIFFERS][0]} differ")
        self._progress.show(done, ", ".join([*words, note] if note else words))


def _missing(images: list[Image]) -> list[Image]:
    return [image for image in images if image.fate == Fate.MISSING]


def _counts(got: Retrieved) -> str:
    done = got.done
    return f" ({done.completed} sent, {done.failed} failed)" if done.completed or done.failed else ""
