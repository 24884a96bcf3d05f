"""What `send` finds and makes of files; days, hours and rates of `migrate`; the bar of both."""

from __future__ import annotations

import io
import os
import zipfile
from datetime import date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.ct import small_ct

from edge_forwarder.dicom import part10
from edge_forwarder.dicom.found_files import dress
from edge_forwarder.dimse.negotiation import CLASSES_AT_ONCE, COMPRESSED, MAX_CONTEXTS, PLAIN
from edge_forwarder.errors import ConfigError, SourceError, UnreadableError
from edge_forwarder.importing import sources
from edge_forwarder.importing.sources import Source, Unusable, find
from edge_forwarder.migrating.periods import Days, Minutes, Window, per_hour
from edge_forwarder.migrating.query_scu import GET, get_contexts
from edge_forwarder.migrating.source_pacs import _groups
from edge_forwarder.migrating.state import Image
from edge_forwarder.progress import Progress

CT = small_ct("2.25.1")
META_END = part10.dataset_offset(CT)
DATA_SET = CT[META_END:]


def dressed(data: bytes) -> bytes | None:
    made = dress(data)
    return None if made is None else made.lead + data[made.skip :]


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (DATA_SET, "no header at all"),
        (CT[132:], "no preamble"),
        (b"x" * 128 + CT[128:132] + CT[144:], "no group length"),
        (CT[:140] + b"\x07\0\0\0" + CT[144:], "a group length that is wrong"),
    ],
)
def test_a_file_without_a_proper_header_gets_one_and_keeps_its_data_set(data: bytes, why: str) -> None:
    """PS3.10 7.1; what is proper stays as it is, to the byte, whatever its preamble holds."""
    made = dressed(data)
    assert made is not None, why
    assert made[part10.dataset_offset(made) :] == DATA_SET
    assert part10.meta_value(made, 0x0003) == "2.25.1.1.1"
    assert part10.meta_value(made, 0x0010) == "1.2.840.10008.1.2.1"
    tiff = b"II*\0" + CT[4:]
    assert dressed(tiff) == tiff


@pytest.mark.parametrize("data", [b"", b"text", b"\x08\0", b"\x08\0" * 300, b"\x02\0" * 300, bytes(1000)])
def test_what_is_not_dicom_is_none(data: bytes) -> None:
    """Also when it begins as a data set might."""
    assert dress(data) is None


def test_dicom_that_no_archive_takes_is_said_to_be_so() -> None:
    """The prefix is there, and nothing that a header needs; or it is an index of files."""
    with pytest.raises(UnreadableError):
        dress(bytes(128) + b"DICM" + b"rubbish" * 50)
    index = part10.file_meta("1.2.840.10008.1.3.10", "2.25.1", "1.2.840.10008.1.2.1")
    with pytest.raises(UnreadableError, match="index"):
        dress(index + DATA_SET)


@given(st.binary(max_size=400))
def test_no_bytes_break_it(data: bytes) -> None:
    """Whatever lies on a disk."""
    for head in (data, bytes(128) + b"DICM" + data, bytes(128) + b"DICM" + CT[132:140] + data):
        try:
            made = dress(head)
        except UnreadableError:
            continue
        assert made is None or made.skip <= len(head)


def names(*paths: Path) -> list[str]:
    return [item.name.rpartition("/")[2] for item in find(paths)]


def test_folders_are_walked_in_order_and_links_do_not_lead_in_circles(tmp_path: Path) -> None:
    """A link to a file is that file; one to a folder is not followed; names may be any bytes."""
    (tmp_path / "b").mkdir()
    for name in ("b/2", "a", "b/1"):
        (tmp_path / name).write_bytes(CT)
    (tmp_path / "b" / "circle").symlink_to(tmp_path)
    (tmp_path / "c").symlink_to(tmp_path / "a")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    with open(os.fsencode(tmp_path) + b"/\xff\x1b[2J", "wb"):
        pass
    found = list(find([tmp_path]))
    assert [item.name.rpartition("/")[2] for item in found] == ["a", "c", "gone", "??[2J", "1", "2"]
    assert [item.reason for item in found if isinstance(item, Unusable)] == ["No such file or directory"]


def test_two_members_of_one_name_are_two(tmp_path: Path) -> None:
    """A zip may hold a name twice; nobody may lose the second image for that."""
    path = tmp_path / "twice.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.dcm", CT)
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.dcm", CT)
    keys = {item.key for item in find([path]) if isinstance(item, Source)}
    assert len(keys) == 2


def test_a_bomb_ends_at_its_budget_and_a_directory_too_large_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what comes out, not by what the directory says."""
    path = tmp_path / "bomb.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", bytes(5_000_000))
    monkeypatch.setattr(sources, "RATIO_FREE", 1_000_000)
    (bomb,) = find([path])
    assert isinstance(bomb, Source)
    for item in find([path]):
        assert isinstance(item, Source)
        with item.open() as stream, pytest.raises(SourceError, match="200 times"):
            stream.read()
    monkeypatch.setattr(sources, "MAX_DIRECTORY", 10)
    assert [item.reason for item in find([path]) if isinstance(item, Unusable)] == [
        "a zip of too many files: unpack it first"
    ]
    path.write_bytes(path.read_bytes()[:-30])
    assert [type(item) for item in find([path])] == [Unusable]


def test_days_are_read_and_listed_newest_first() -> None:
    """A span, an open one, a day, everything; what is none is named."""
    today = date(2026, 11, 24)
    assert [f"{d:%m%d}" for d in Days.parse("20240228-20240301", today).newest_first()] == ["0301", "0229", "0228"]
    assert Days.parse("20261120-", today).last == today
    assert Days.parse("20240229", today) == Days(date(2024, 2, 29), date(2024, 2, 29))
    assert Days.parse(None, today).range == "19800101-20261124"
    for wrong in ("2024", "20240230", "20240301-20240228", "2024-01-01", "heute"):
        with pytest.raises(ConfigError):
            Days.parse(wrong, today)


@given(st.dates(date(1980, 1, 1), date(2030, 1, 1)), st.integers(1, 20_000))
def test_halves_of_days_are_all_of_them_once(first: date, more: int) -> None:
    """Newer half first."""
    days = Days(first, date.fromordinal(first.toordinal() + more))
    newer, older = days.halves()
    assert (older.first, newer.last) == (days.first, days.last)
    assert newer.first.toordinal() == older.last.toordinal() + 1


def test_halves_of_a_day_are_every_minute_once() -> None:
    """Down to single minutes."""
    todo, minutes = [Minutes()], []
    while todo:
        part = todo.pop()
        todo += part.halves()
        if not part.halves():
            minutes.append(part.range)
    assert len(set(minutes)) == 1440
    assert Minutes().range == "000000-235959.999999"
    assert minutes[-1] == "000000-000059.999999"


@pytest.mark.parametrize(
    ("text", "now", "seconds"),
    [
        ("19:00-06:00", (18, 30), 1800),
        ("19:00-06:00", (19, 0), 0),
        ("19:00-06:00", (5, 59), 0),
        ("19:00-06:00", (6, 0), 13 * 3600),
        ("01:00-02:00", (0, 0), 3600),
        ("01:00-02:00", (2, 0), 23 * 3600),
        ("00:00-00:00", (12, 0), 0),
    ],
)
def test_a_window_may_go_over_midnight(text: str, now: tuple[int, int], seconds: float) -> None:
    """By the clock of the machine; the end does not belong to it."""
    assert Window.parse(text).seconds_until(datetime(2026, 11, 24, *now)) == seconds  # noqa: DTZ001 - the local clock


def test_what_is_no_window_or_rate_is_named() -> None:
    """With an example."""
    for wrong in ("19-6", "24:00-06:00", "19:00", ""):
        with pytest.raises(ConfigError, match="HH:MM"):
            Window.parse(wrong)
    assert per_hour("500/h") == per_hour("500") == 500
    for wrong in ("0/h", "-5/h", "5/min", ""):
        with pytest.raises(ConfigError, match="500/h"):
            per_hour(wrong)


@given(st.integers(1, 300))
def test_contexts_of_c_get_fit_into_one_association(classes: int) -> None:
    """Odd numbers up to 255 (PS3.8 9.3.2.2), each class plain at least, and a role for each (PS3.7 D.3.3.4)."""
    contexts, roles = get_contexts(f"2.25.{n}" for n in range(classes))
    assert [c.id for c in contexts] == list(range(1, 2 * len(contexts), 2))
    assert len(contexts) <= MAX_CONTEXTS
    assert contexts[0].abstract_syntax == GET
    plain = [c.abstract_syntax for c in contexts[1:] if len(c.transfer_syntaxes) == 2]
    assert plain == [role.sop_class_uid for role in roles] == [f"2.25.{n}" for n in range(min(classes, 127))]
    if classes <= CLASSES_AT_ONCE:
        assert {c.abstract_syntax for c in contexts[1:]} == set(plain)
        for uid in plain:
            proposed = {c.transfer_syntaxes[0] for c in contexts[1:] if c.abstract_syntax == uid}
            assert proposed == {*COMPRESSED, PLAIN[0]}


def test_video_is_proposed_beside_many_kinds_of_images() -> None:
    """In what cameras make; the images in what is commonest for them."""
    video, many = "1.2.840.10008.5.1.4.1.1.77.1.1.1", [f"2.25.{n}" for n in range(19)]
    contexts, _ = get_contexts([*many, video])
    proposed = {(c.abstract_syntax, c.transfer_syntaxes[0]) for c in contexts}
    assert {(video, f"1.2.840.10008.1.2.4.{end}") for end in (100, 102, 103)} <= proposed
    assert {(uid, f"1.2.840.10008.1.2.4.{end}") for uid in many for end in (50, 70, 80, 90)} <= proposed


def test_images_of_more_kinds_than_one_association_proposes_go_over_several() -> None:
    """So each is proposed in every syntax; what of no known kind is, by itself."""
    images = [Image(f"1.{n}", "1.2", f"2.25.{n % 11}" if n else "") for n in range(50)]
    groups = list(_groups(images))
    assert sorted((image for group in groups for image in group), key=images.index) == images
    assert all(len({image.sop_class for image in group}) <= CLASSES_AT_ONCE for group in groups)
    assert groups[-1] == images[:1]
    assert len(groups) == -(-11 // CLASSES_AT_ONCE) + 1


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_gets_a_bar_and_a_file_gets_lines_now_and_then() -> None:
    """A bar is drawn over; lines come every ten seconds."""
    now = [100.0]
    bar, lines = _Terminal(), io.StringIO()
    for stream in (bar, lines):
        progress = Progress(stream, "files", 4, clock=lambda: now[0])
        for done in range(5):
            progress.show(done, "3 in the cloud")
            now[0] += 3.0
        progress.end()
    assert bar.getvalue().count("\r") == 5
    assert "[########################] 4 of 4 files; 3 in the cloud" in bar.getvalue()
    assert lines.getvalue().splitlines() == ["0 of 4 files; 3 in the cloud", "4 of 4 files; 3 in the cloud"]
