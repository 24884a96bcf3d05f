"""Configuration, enrolment's first file, retry pauses, logs."""

from __future__ import annotations

import errno
import io
import json
import os
import re
import tomllib
from dataclasses import fields
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_forwarder import config
from edge_forwarder.cloud import retry
from edge_forwarder.databases.journal import Journal
from edge_forwarder.enroll import first_config
from edge_forwarder.errors import CloudAwayError, CloudBusyError, ConfigError, RefusedError
from edge_forwarder.logs import Log
from edge_forwarder.upload.line import Line

EXAMPLE = resources.files("edge_forwarder").joinpath("edge.toml").read_text(encoding="utf-8")
SECTIONS = {
    "edge": config.EdgeConfig,
    "cloud": config.CloudConfig,
    "spool": config.SpoolConfig,
    "dimse": config.DimseConfig,
    "tls": config.TlsConfig,
    "commitment": config.CommitmentConfig,
    "retrieve": config.RetrieveConfig,
    "packing": config.PackingConfig,
    "upload": config.UploadConfig,
    "compress": config.CompressConfig,
    "health": config.HealthConfig,
    "stow": config.StowConfig,
    "device": config.DeviceConfig,
}


def uncommented() -> dict[str, object]:
    """The example with every commented setting switched on."""
    return tomllib.loads(re.sub(r"^# (?=\[\[|[a-z_]+ = )", "", EXAMPLE, flags=re.MULTILINE))


def test_the_example_names_every_setting_and_no_other() -> None:
    """One commented file is the documentation."""
    example = uncommented()
    devices = example.pop("device")
    assert isinstance(devices, list)
    named = {**example, "device": devices[0]}
    assert {name: set(section) for name, section in named.items()} == {
        name: {f.name for f in fields(cls)} for name, cls in SECTIONS.items()
    }


def test_the_example_tells_the_true_defaults(tmp_path: Path) -> None:
    """A commented line shows what holds without it."""
    shown, default = uncommented(), config.parse({"cloud": {"url": "https://pacs.example.org"}}, tmp_path)
    shown.pop("device")
    assert config.parse(shown, tmp_path) == default


def test_enrolment_writes_the_example_with_its_own_values(tmp_path: Path) -> None:
    """URL, AE title and port in their places; the comments stay."""
    text = first_config("https://pacs.thu.vn", "THU-EDGE", 4242)
    path = tmp_path / "edge.toml"
    path.write_text(text, encoding="utf-8")
    loaded = config.load(path)
    assert (loaded.cloud.url, loaded.edge.ae_title, loaded.edge.port) == ("https://pacs.thu.vn", "THU-EDGE", 4242)
    assert loaded.spool_folder == tmp_path / "spool"
    assert text.count("#") == EXAMPLE.count("#")


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        ({}, "[cloud] url"),
        ({"cloud": {"url": "ftp://x"}}, "[cloud] url"),
        ({"cloud": {"url": "https://x", "uri": 1}}, "[cloud] has no key uri: is url meant?"),
        ({"clouds": {}}, "no section [clouds]: there are edge, cloud,"),
        ({"cloud": {"url": "https://x", "parallel_uploads": "2"}}, "[cloud] parallel_uploads must be a whole number"),
        ({"cloud": {"url": "https://x"}, "upload": {"windows": "x"}}, '[upload] windows must be a list of texts: ["…'),
        ({"cloud": {"url": "https://x"}, "upload": {"pause": 1}}, "[upload] pause must be true or false"),
        ({"cloud": {"url": "https://x", "parallel_uploads": 0}}, "[cloud] parallel_uploads"),
        ({"cloud": {"url": "https://x", "retry_max_seconds": -1}}, "[cloud] retry_max_seconds"),
        ({"cloud": {"url": "https://x"}, "edge": {"ae_title": "A" * 17}}, "[edge] ae_title"),
        ({"cloud": {"url": "https://x"}, "edge": {"ae_title": "A\\B"}}, "[edge] ae_title"),
        ({"cloud": {"url": "https://x"}, "edge": {"port": True}}, "[edge] port"),
        ({"cloud": {"url": "https://x"}, "device": [{"host": "x"}]}, "[[device]] ae_title"),
        ({"cloud": {"url": "https://x"}, "spool": {"max_instance_mib": 0}}, "[spool] max_instance_mib"),
        ({"cloud": {"url": "https://x"}, "spool": {"max_instance_mib": 80_000}}, "[spool] max_instance_mib"),
        ({"cloud": {"url": "https://x"}, "packing": {"max_mib": 65}}, "[packing] max_mib"),
        ({"cloud": {"url": "https://x"}, "packing": {"quiet_seconds_by_modality": {"US": "x"}}}, "quiet_seconds_by"),
        ({"cloud": {"url": "https://x"}, "dimse": {"max_pdu": 100}}, "[dimse] max_pdu"),
    ],
)
def test_a_wrong_setting_is_named(tmp_path: Path, raw: dict[str, object], named: str) -> None:
    """Loud, at the start, with the key that is wrong."""
    with pytest.raises(ConfigError) as error:
        config.parse(raw, tmp_path)
    assert named in str(error.value)


def test_credentials_are_private_and_never_shown(tmp_path: Path) -> None:
    """0600, also when the file was there before with other rights; the key is in no repr."""
    path = tmp_path / "credentials.json"
    path.write_text("{}")
    path.chmod(0o644)
    config.save_credentials(path, config.Credentials("hosp1", "edge-1", "mpk_secret"))
    assert path.stat().st_mode & 0o777 == 0o600
    loaded = config.load_credentials(path)
    assert loaded.key == "mpk_secret"
    assert "secret" not in repr(loaded)
    path.write_text("{}")
    with pytest.raises(ConfigError, match="enrol"):
        config.load_credentials(path)


@given(st.integers(0, 10_000), st.floats(1, 600), st.floats(0, 1))
def test_a_pause_is_jittered_and_bounded(failures: int, longest: float, dice: float) -> None:
    """Full jitter between nothing and the bound, which doubles up to the longest."""
    seconds = retry.pause(failures, longest, uniform=lambda low, high: low + (high - low) * dice)
    assert 0 <= seconds <= longest
    if dice == 1 and 0 < failures < 6:
        assert seconds == min(longest, 2.0 ** (failures - 1))


def test_what_the_cloud_asks_for_is_the_least() -> None:
    """Retry-After is honoured, within an hour."""
    assert retry.pause(1, 60, asked=30) >= 30
    assert retry.pause(1, 60, asked=10**9) <= retry.LONGEST_RETRY_AFTER + 5


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("120", 120.0),
        (" 7 ", 7.0),
        ("soon", None),
        ("-5", None),
        ("Tue, 24 Nov 2026 04:00:30 GMT", 30.0),
        ("Tue, 24 Nov 2026 03:00:00 GMT", 0.0),
    ],
)
def test_retry_after_is_a_number_or_a_date(value: str | None, seconds: float | None) -> None:
    """RFC 9110 10.2.3; nonsense is none."""
    assert retry.retry_after(value, datetime(2026, 11, 24, 4, tzinfo=UTC)) == seconds


def test_failures_of_the_line_pause_everything_and_others_do_not(tmp_path: Path) -> None:
    """Requests that fail together count once; one success ends the pause."""
    journal, now = Journal.open(tmp_path / "j.sqlite"), [100.0]
    line = Line(journal, Log(io.StringIO()), 60.0, clock=lambda: now[0])
    assert line.failed(RefusedError("no", 400)) is False
    assert line.pause_left() == 0
    assert line.failed(CloudBusyError("later", 20.0)) is True
    assert line.failed(CloudAwayError("gone")) is True
    assert line.pause_left() >= 20
    assert journal.facts()["cloud_error"] == "gone"
    line.worked()
    assert line.pause_left() == 0
    assert journal.facts()["cloud_error"] is None
    journal.close()


def test_a_log_line_is_json_with_allowed_keys_alone() -> None:
    """A key that nobody thought about is an error in the tests, not patient data in a log."""
    stream = io.StringIO()
    log = Log(stream)
    log.info("uploaded", instances=3)
    log.debug("not shown")
    (line,) = stream.getvalue().splitlines()
    assert json.loads(line).items() >= {"level": "info", "message": "uploaded", "instances": 3}.items()
    with pytest.raises(ValueError, match="patient_name"):
        log.info("received", patient_name="Nguyễn^Văn Thử")


def test_a_log_that_cannot_be_written_stops_nobody() -> None:
    """The disk of the log is full, the terminal is gone: every thread of the edge writes there."""
    disk: list[str] = []
    room = False

    class Disk(io.StringIO):
        def flush(self) -> None:
            if not room:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            disk.append(self.getvalue())

    log = Log(Disk())
    log.error("an upload failed", why="the cloud is away")
    room = True
    log.info("the cloud answers again")
    assert "the cloud answers again" in disk[-1]
