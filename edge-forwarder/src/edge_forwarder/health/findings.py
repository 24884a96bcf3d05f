"""What is wrong, and how badly: from the numbers of a `Vitals` to findings with a code. Pure.

The console and the dashboard put each code into words of the reader's language; `WORDS` are those for local use. A
finding is *red* when images cannot come in or cannot go up, or soon will not; *amber* when somebody should look.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0
#: No upload went for so long: amber, red.
_AWAY: Final = (5 * _MINUTE, 1 * _HOUR)
#: The oldest image waits for so long: amber, red.
_WAITS: Final = (1 * _HOUR, 24 * _HOUR)
#: Upload grants are good for 15 minutes, and certificates have days: amber, red.
_CLOCK: Final = (60.0, 600.0)
_CERTIFICATE_DAYS: Final = 30.0
_MEMORY_PERCENT: Final = 95.0
#: A rejection is of interest for so long.
_REJECTED: Final = 1 * _DAY


@dataclass(frozen=True, slots=True)
class Finding:
    """``value`` is a number of what the code says: seconds, days, counts, bytes."""

    code: str
    level: str
    """``amber`` or ``red``."""
    value: float | None = None
    device: str = ""
    """The AE title of the device that it is about."""

    def as_json(self) -> dict[str, Any]:
        told = {"code": self.code, "level": self.level, "value": self.value, "device": self.device}
        return {name: value for name, value in told.items() if value not in (None, "")}

    @property
    def words(self) -> str:
        text = WORDS[self.code].format(device=self.device, value=_amount(self.code, self.value or 0))
        return f"{text[0].upper()}{text[1:]}"


WORDS: Final[Mapping[str, str]] = {
    "refusing": "new images are refused (A700): the disk, or the spool's allowance, is full. Make room",
    "disk_low": "only {value} are free on the spool's disk. Make room before images are refused",
    "key_refused": "the cloud does not accept this edge's key: it was revoked. Images are kept here, {value} by now;"
    " get a code in the console and enrol again: maypacs-edge enroll",
    "cloud_away": "no image could go up for {value}. Images are kept here; check the network, and the way to the"
    " cloud's storage, which may be another host than its console",
    "uploads_late": "the oldest image has waited for {value}. Check the uplink's speed, and that nothing on the way"
    " holds uploads back",
    "not_taken": "{value} images cannot be read, or cannot be written down as received: they wait and do not go up."
    " Check the disk, and whom the files in the spool belong to; the log says why",
    "failing": "{value} uploads fail again and again: maypacs-edge status says why",
    "attention": "{value} uploads need a person: see the folder attention/ and maypacs-edge status",
    "commitments_untold": "{value} storage commitments were reported to nobody: the device takes no report",
    "ledger_put_aside": "the ledger was damaged, and storage commitments that devices waited for are lost: they must"
    " ask again. Have the disk checked; then take ledger.sqlite.unreadable out of the spool's folder",
    "clock_off": "the clock differs from the cloud's by {value}. Switch on time synchronisation",
    "certificate_ends": "the TLS certificate ends in {value}. Renew it",
    "certificate_ended": "the TLS certificate has ended or cannot be read. Renew it",
    "memory_low": "{value} of the machine's memory are in use",
    "echo_failed": "{device} has not answered C-ECHO for {value}. Is it switched off? Check its address and port",
    "device_rejected": "{device} was rejected {value} ago: its AE title, its address or the AE title it calls is not"
    " as configured",
    "device_silent": "{device} has sent nothing for {value}. Check that it still sends here",
}


@dataclass(frozen=True, slots=True)
class Limits:
    min_free_bytes: int
    quiet_seconds: float
    """A device that is silent for longer is amber; 0: never."""


def judge(vitals: Mapping[str, Any], limits: Limits, now: float) -> list[Finding]:
    """Red first. ``vitals`` is what `vitals.Vitals.collect` returns."""
    found = [*_edge(vitals, limits, now), *_devices(vitals, limits, now)]
    return sorted(found, key=lambda finding: finding.level != "red")


def level_of(findings: list[Finding]) -> str:
    """``green``, ``amber`` or ``red``: the worst of them."""
    levels = {finding.level for finding in findings}
    return next((level for level in ("red", "amber") if level in levels), "green")


def _edge(vitals: Mapping[str, Any], limits: Limits, now: float) -> Iterator[Finding]:
    free, waiting = vitals.get("disk_free"), vitals["waiting"]
    if vitals["refusing"]:
        yield Finding("refusing", "red")
    elif free is not None and free < 2 * limits.min_free_bytes:
        yield Finding("disk_low", "amber", free)
    uplink, since = vitals["uplink"], now - vitals["uplink_since"]
    if uplink == "key_refused":
        yield Finding("key_refused", "red", waiting)
    elif uplink in ("away", "busy") and since >= _AWAY[0]:
        yield Finding("cloud_away", _level(since, _AWAY), since)
    # Whatever the uplink is said to be: a host that answers is not one that takes images.
    if (age := vitals.get("oldest_seconds") or 0.0) >= _WAITS[0]:
        yield Finding("uploads_late", _level(age, _WAITS), age)
    if vitals["not_taken"]:
        yield Finding("not_taken", "red", vitals["not_taken"])
    if vitals["ledger_put_aside"]:
        yield Finding("ledger_put_aside", "red")
    # In an outage of moments everything that is tried fails.
    if vitals["failing"] and (uplink not in ("away", "busy") or max(age, since) >= _AWAY[0]):
        yield Finding("failing", "amber", vitals["failing"])
    for code in ("attention", "commitments_untold"):
        if vitals[code]:
            yield Finding(code, "amber", vitals[code])
    if (offset := vitals.get("clock_offset_seconds")) is not None and abs(offset) >= _CLOCK[0]:
        yield Finding("clock_off", _level(abs(offset), _CLOCK), abs(offset))
    if vitals["has_certificate"]:
        days = vitals.get("certificate_days_left")
        if days is None or days < 0:
            yield Finding("certificate_ended", "red")
        elif days < _CERTIFICATE_DAYS:
            yield Finding("certificate_ends", "amber", days)
    if (used := vitals.get("memory_percent")) is not None and used >= _MEMORY_PERCENT:
        yield Finding("memory_low", "amber", used)


def _devices(vitals: Mapping[str, Any], limits: Limits, now: float) -> Iterator[Finding]:
    for device in vitals["devices"]:
        title, heard, rejected = device["ae_title"], device.get("heard_at"), device.get("rejected_at")
        if (failed := device.get("echo_failed_at")) is not None:
            yield Finding("echo_failed", "amber", now - failed, title)
        if rejected is not None and now - rejected < _REJECTED:
            yield Finding("device_rejected", "amber", now - rejected, title)
        if limits.quiet_seconds and heard is not None and now - heard >= limits.quiet_seconds:
            yield Finding("device_silent", "amber", now - heard, title)


def _level(value: float, bounds: tuple[float, float]) -> str:
    return "red" if value >= bounds[1] else "amber"


def _amount(code: str, value: float) -> str:
    if code == "disk_low":
        return f"{value / 1e9:.1f} GB"
    if code == "memory_low":
        return f"{value:.0f} %"
    if code == "certificate_ends":
        return f"{value:.0f} days"
    if code in ("key_refused", "not_taken", "failing", "attention", "commitments_untold"):
        return f"{value:.0f}"
    for unit, size in (("days", _DAY), ("hours", _HOUR), ("minutes", _MINUTE)):
        if value >= 2 * size:
            return f"{value / size:.0f} {unit}"
    return f"{value:.0f} seconds"
