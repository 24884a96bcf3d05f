"""The data folder, the queue of thumbnails, the command line's errors."""

from __future__ import annotations

import stat
import subprocess
import sys
from pathlib import Path

import pytest

from maypacs.settings import Settings
from maypacs_node import notifications
from maypacs_node.cli import main
from maypacs_node.home import Home, NodeError


def test_secrets_are_made_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    """A second start finds the keys of the first: URLs and packs of before stay valid."""
    home = Home(tmp_path / "data")
    home.create()
    first = home.secrets_file.read_bytes()
    home.create()
    assert home.secrets_file.read_bytes() == first
    assert stat.S_IMODE(home.secrets_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(home.folder.stat().st_mode) == 0o700


def test_the_settings_are_complete(tmp_path: Path) -> None:
    """With the object store's they make the functions' settings."""
    home = Home(tmp_path)
    settings = Settings.read({**home.settings("gateway"), "MAYPACS_S3_ENDPOINT": "http://127.0.0.1:1"})
    assert (settings.limits, settings.blobs, settings.uploads) == ("gateway", "hmac", "hmac")
    assert settings.trust_forwarded


def test_a_second_process_on_one_folder_is_told_who_holds_it(tmp_path: Path) -> None:
    """Until the first one is gone, however it goes."""
    home = Home(tmp_path)
    home.create()
    program = (
        "import sys; from pathlib import Path; from maypacs_node.home import Home\n"
        "with Home(Path(sys.argv[1])).lock():\n"
        "    print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(NodeError, match=rf"pid {holder.pid}\b"), home.lock():
            pass
        holder.kill()
        holder.wait()
        with home.lock():
            pass


def test_an_error_at_the_command_line_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And exit code 1."""
    assert main(["key", "add", "--archive", "nobody", "--role", "viewer", "--data", str(tmp_path / "d")]) == 1
    assert capsys.readouterr().err == "maypacs: no such archive\n"


def test_an_archive_a_key_and_a_user_are_made_without_a_node(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A key is printed alone, to be captured by a script."""
    data = ["--data", str(tmp_path / "d")]
    assert main(["archive", "add", "hosp1", "--title", "Bệnh viện Một", *data]) == 0
    assert main(["archive", "list", *data]) == 0
    assert main(["key", "add", "--archive", "hosp1", "--role", "viewer", *data]) == 0
    assert main(["user", "add", "bs.an", "--archive", "hosp1", "--role", "radiologist", *data]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["hosp1", "hosp1\tBệnh viện Một"]
    assert lines[2].startswith("mpk_")
    assert len(lines[3]) >= 12
    assert len(lines) == 4


def test_a_name_is_queued_once_and_comes_back_when_its_worker_dies(tmp_path: Path) -> None:
    """The same name added while it is being worked on is work of its own."""
    queue = notifications.FileQueue(tmp_path)
    queue.add("meta/a/1")
    queue.add("meta/a/1")
    (path,) = queue.waiting()
    assert queue.take(path) == "meta/a/1"
    assert queue.waiting() == []
    notifications.FileQueue(tmp_path).restore()
    (again,) = queue.waiting()
    assert queue.take(again) == "meta/a/1"
    queue.add("meta/a/1")
    queue.done(again)
    assert queue.waiting() == [again]


def test_a_log_that_grew_large_begins_anew_while_it_is_written(tmp_path: Path) -> None:
    """Its writer appends to the same file; the lines before are kept once."""
    home = Home(tmp_path)
    home.create()
    log = home.log_file("web-0")
    with log.open("ab") as writer:
        writer.write(b"x" * (33 * 1024 * 1024))
        writer.flush()
        home.trim_logs()
        writer.write(b"new line\n")
    assert log.read_bytes() == b"new line\n"
    assert log.with_suffix(".log.1").stat().st_size == 33 * 1024 * 1024
    home.trim_logs()
    assert log.read_bytes() == b"new line\n"


def test_tables_in_a_folder_that_others_may_enter_are_still_the_owners(tmp_path: Path) -> None:
    """Somebody made the data folder beforehand, for all to read; the tables hold patients and password hashes."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    home = Home(folder)
    home.create()
    (folder / "index.sqlite").touch(0o644)
    home.create()
    assert stat.S_IMODE((folder / "index.sqlite").stat().st_mode) == 0o600


def test_what_the_command_makes_is_the_owners_alone(tmp_path: Path) -> None:
    """Files of the tables, their journals, every folder: nothing for group and others."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    words = [sys.executable, "-m", "maypacs_node.cli", "archive", "add", "hosp1", "--data", str(folder)]
    subprocess.run(words, check=True, capture_output=True, timeout=60)
    open_to_others = [path.name for path in folder.rglob("*") if path.stat().st_mode & 0o077]
    assert open_to_others == []
