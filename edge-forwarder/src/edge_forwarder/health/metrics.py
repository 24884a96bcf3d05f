"""Prometheus' text format, 0.0.4: one family after the other, HELP, TYPE, samples. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from edge_forwarder.health.findings import Finding

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
#: Name, kind, member of the vitals, help.
_FAMILIES: Final = (
    ("waiting_instances", "gauge", "waiting", "Images in the spool."),
    ("waiting_bytes", "gauge", "waiting_bytes", "Bytes of the images in the spool."),
    ("oldest_seconds", "gauge", "oldest_seconds", "Age of the image that waits longest."),
    ("received_instances_total", "counter", "received_total", "Images received since the journal began."),
    ("indexed_instances_total", "counter", "indexed_total", "Images that the cloud has indexed."),
    ("uploaded_bytes_total", "counter", "uploaded_bytes_total", "Bytes uploaded."),
    ("refused_instances_total", "counter", "refused_total", "Images refused for want of room (A700)."),
    ("failed_uploads_total", "counter", "failed_uploads_total", "Uploads that failed; each is tried again."),
    ("missing_files_total", "counter", "missing_total", "Files that somebody took out of the spool."),
    ("refusing", "gauge", "refusing", "1 while new images are refused for want of room."),
    ("not_taken_files", "gauge", "not_taken", "Files of the spool that cannot be read or written down as received."),
    ("attention", "gauge", "attention", "Uploads that need a person."),
    ("failing_uploads", "gauge", "failing", "Uploads that failed several times."),
    ("associations", "gauge", "associations", "Open associations."),
    ("disk_free_bytes", "gauge", "disk_free", "Free on the spool's disk."),
    ("disk_size_bytes", "gauge", "disk_total", "Size of the spool's disk."),
    ("cpu_percent", "gauge", "cpu_percent", "Use of all processors since the last look."),
    ("memory_percent", "gauge", "memory_percent", "Use of the machine's memory."),
    ("process_resident_bytes", "gauge", "process_bytes", "Memory of this process."),
    ("clock_offset_seconds", "gauge", "clock_offset_seconds", "This clock less the cloud's."),
    ("certificate_days_left", "gauge", "certificate_days_left", "Days until the TLS certificate ends."),
    ("start_time_seconds", "gauge", "started_at", "When the service started."),
    ("last_received_time_seconds", "gauge", "received_at", "When the last image came."),
    ("last_uploaded_time_seconds", "gauge", "uploaded_at", "When the last upload ended."),
    ("last_indexed_time_seconds", "gauge", "indexed_at", "When the cloud last said indexed."),
)
_DEVICES: Final = (
    ("device_last_image_time_seconds", "image_at", "When the last image of a device came."),
    ("device_last_association_time_seconds", "heard_at", "When a device last associated."),
    ("device_last_echo_time_seconds", "echo_at", "When a device last answered C-ECHO."),
)
_UPLINKS: Final = ("unknown", "ok", "away", "busy", "key_refused")


def render(vitals: Mapping[str, Any], findings: list[Finding]) -> str:
    return "".join(_lines(vitals, findings))


def _lines(vitals: Mapping[str, Any], findings: list[Finding]) -> Iterator[str]:
    yield from _family("info", "gauge", "Always 1.", [({"version": vitals["version"]}, 1)])
    for name, kind, member, text in _FAMILIES:
        if (value := vitals.get(member)) is not None:
            yield from _family(name, kind, text, [({}, value)])
    states = [({"state": state}, int(vitals["uplink"] == state)) for state in _UPLINKS]
    yield from _family("uplink", "gauge", "1 for how the line to the cloud stands.", states)
    for name, member, text in _DEVICES:
        samples = [({"ae_title": d["ae_title"]}, d[member]) for d in vitals["devices"] if d.get(member) is not None]
        yield from _family(name, "gauge", text, samples)
    told = [({"code": f.code, "level": f.level, "device": f.device}, 1) for f in findings]
    yield from _family("finding", "gauge", "1 for each thing that somebody should look at.", told)


def _family(name: str, kind: str, text: str, samples: list[tuple[dict[str, str], Any]]) -> Iterator[str]:
    if not samples:
        return
    yield f"# HELP maypacs_edge_{name} {text}\n# TYPE maypacs_edge_{name} {kind}\n"
    for labels, value in samples:
        inside = ",".join(f'{label}="{_escaped(held)}"' for label, held in labels.items())
        yield f"maypacs_edge_{name}{f'{{{inside}}}' if inside else ''} {float(value):.15g}\n"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
