"""What `maypacs-edge status` shows: read from the spool and its journal, whether the service runs or not."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from edge_forwarder.config import MIB, Config
from edge_forwarder.databases.commitments import CommitmentState
from edge_forwarder.databases.journal import Journal, PackRow, PackState, Queue
from edge_forwarder.databases.ledger import Ledger
from edge_forwarder.dimse import tls
from edge_forwarder.errors import ConfigError
from edge_forwarder.health.findings import WORDS, Finding, level_of
from edge_forwarder.health.heartbeat import HEALTH
from edge_forwarder.spool import attention
from edge_forwarder.spool.folder import free_bytes
from edge_forwarder.spool.handover import FOLDER
from edge_forwarder.spool.lock import is_locked
from edge_forwarder.spool.naming import SpooledFile
from edge_forwarder.upload.compressor import LEFT

#: In the order in which an image passes through them.
STATES: Final = ("received", "packed", "uploading", "failed", "sent", "indexed")
#: So many uploads that fail, or need a person, are told of one by one.
_SHOWN: Final = 20
_TOTALS: Final = ("received", "received_bytes", "uploads", "uploaded_bytes", "indexed", "duplicates", "set_aside")
_SAVED: Final = ("known", "known_bytes", "compressed", "compressed_saved_bytes")
_TROUBLES: Final = ("refused", "missing", "failed_uploads")
_TIMES: Final = ("last_received_at", "last_upload_at", "last_indexed_at", "last_refused_at", "started_at")


def collect(config: Config, now: float | None = None) -> dict[str, Any]:
    """Everything, as JSON values. Times and ages in seconds, sizes in bytes. Raises OSError, sqlite3.Error."""
    now = time.time() if now is None else now
    folder = config.spool_folder
    queues, facts, known, failing = _read_journal(folder / "journal.sqlite")
    commitments = _read_ledger(folder / "ledger.sqlite")
    # What was handed over is not in the journal yet. It moves to `received`, so it is looked for first.
    on_disk = sorted({f.name: f for at in (FOLDER, "received") for f in _files(folder / at)}.values(), key=_by_name)
    unknown = [file for file in on_disk if file.name not in known]
    states = {state: _queue(queues.get(state), now) for state in STATES}
    # What the keeper has not taken up yet, or what waits for the service to start.
    states["received"]["instances"] += len(unknown)
    states["received"]["bytes"] += sum(file.size for file in unknown)
    held = sum(file.size for file in on_disk)
    free = free_bytes(folder) if folder.is_dir() else None
    running = is_locked(folder)
    low = free is not None and free < config.spool.min_free_mib * MIB
    full = low or bool(config.spool.max_mib and held >= config.spool.max_mib * MIB)
    return {
        "running": running,
        "ae_title": config.edge.ae_title,
        "port": facts.get("port") if running else config.edge.port,
        "tls": _tls(config, facts) if config.tls.certificate else None,
        "commitments": commitments,
        "queue": states,
        "waiting": {
            "instances": len(on_disk),
            "bytes": held,
            "oldest_age": _oldest_age(on_disk, now),
        },
        "failing": [{"pack": row.id, "attempts": row.attempts, "error": row.error} for row in failing[:_SHOWN]],
        "attention": _attention(folder / "attention"),
        "disk": {"free_bytes": free, "refusing": full},
        "cloud": {
            "url": config.cloud.url,
            "last_ok_at": facts.get("cloud_ok_at"),
            "error": facts.get("cloud_error"),
            "error_at": facts.get("cloud_error_at"),
            "reachable": running and facts.get("cloud_error") is None if facts.get("cloud_ok_at") else None,
        },
        "health": _health(facts, running=running),
        "upload": {"limit": facts.get("upload_limit") if running else None},
        "totals": {name: facts.get(name, 0) for name in (*_TOTALS, *_SAVED, *_TROUBLES)},
        "last_received_by_modality": {
            name.partition(".")[2]: value
            for name, value in sorted(facts.items())
            if name.startswith("last_received_at.")
        },
        "packing": _packing(facts),
        "not_compressed": {n.removeprefix(LEFT): facts[n] for n in sorted(facts) if n.startswith(LEFT)},
        **{name: facts.get(name) for name in _TIMES},
    }


def _read_journal(path: Path) -> tuple[dict[str, Queue], dict[str, Any], set[str], list[PackRow]]:
    if not path.is_file():
        return {}, {}, set(), []
    with contextlib.suppress(sqlite3.DatabaseError):
        journal = Journal.read_only(path)
        try:
            return journal.queues(), journal.facts(), journal.names(), journal.packs(PackState.FAILED)
        finally:
            journal.close()
    return {}, {}, set(), []


def _health(facts: dict[str, Any], *, running: bool) -> dict[str, Any]:
    """What the running service said last of itself and of its devices (`health.vitals`)."""
    if not running:
        return {"level": "red", "findings": ["The edge is not running."], "devices": [], "at": None}
    try:
        told = json.loads(facts.get(HEALTH) or "{}")
        findings = [Finding(**finding) for finding in told.get("findings", ())]
        devices, at = list(told.get("devices", ())), told.get("at")
    except (ValueError, TypeError, AttributeError):  # an older service's, or a newer one's
        findings, devices, at = [], [], None
    words = [finding.words for finding in findings if finding.code in WORDS]
    return {"level": level_of(findings), "findings": words, "devices": devices, "at": at}


def _read_ledger(path: Path) -> dict[str, int]:
    """Storage commitments by state: open, due (the device was not told yet), done, dead (it could not be told)."""
    counts = dict.fromkeys(CommitmentState, 0)
    if path.is_file():
        with contextlib.suppress(sqlite3.DatabaseError):
            ledger = Ledger.read_only(path)
            try:
                counts |= {CommitmentState(state): n for state, n in ledger.commitment_counts().items()}
            finally:
                ledger.close()
    return {str(state): n for state, n in counts.items()}


def _tls(config: Config, facts: dict[str, Any]) -> dict[str, Any]:
    """``certificate_days_left`` is negative when it is over, None when the file cannot be read."""
    try:
        days: float | None = round(tls.days_left(config.folder / config.tls.certificate), 2)
    except ConfigError:
        days = None
    return {"port": facts.get("tls_port") or config.tls.port, "certificate_days_left": days}


def _by_name(file: SpooledFile) -> str:
    return file.name


def _files(received: Path) -> list[SpooledFile]:
    files = []
    for path in sorted(received.glob("*.dcm")):
        with contextlib.suppress(OSError):  # deleted between the listing and now, for one
            if path.is_file():
                files.append(SpooledFile(path.name, path.stat().st_size))
    return files


def _oldest_age(files: Iterable[SpooledFile], now: float) -> float | None:
    """None when no name of them tells a time."""
    times = [at for file in files if (at := file.received_at) is not None]
    return round(now - min(times), 1) if times else None


def _packing(facts: dict[str, Any]) -> dict[str, dict[str, int]]:
    """By modality: packs since the journal began, and what was in them."""
    return {
        modality: {
            "packs": packs,
            "instances": facts.get(f"packed.{modality}", 0),
            "bytes": facts.get(f"packed_bytes.{modality}", 0),
        }
        for name, packs in sorted(facts.items())
        if name.startswith("packs.") and (modality := name.partition(".")[2])
    }


def _queue(queue: Queue | None, now: float) -> dict[str, Any]:
    if queue is None:
        return {"instances": 0, "bytes": 0, "packs": 0, "oldest_age": None}
    age = _oldest_age([SpooledFile(queue.oldest, 0)] if queue.oldest else [], now)
    return {"instances": queue.instances, "bytes": queue.bytes, "packs": queue.packs, "oldest_age": age}


def _attention(folder: Path) -> list[dict[str, Any]]:
    return [
        {
            "pack": e.name,
            "state": e.state,
            "instances": len(e.files),
            "reasons": list(e.reasons),
            "will_be_deleted": (e.folder / attention.NOTICE).exists(),
        }
        for e in attention.entries(folder)
    ]


def as_text(report: dict[str, Any]) -> str:
    """The same for people."""
    cloud, waiting, disk = report["cloud"], report["waiting"], report["disk"]
    running = f"listens as {report['ae_title']} on port {report['port']}" if report["running"] else "is not running"
    lines = [f"The edge {running}."]
    if cloud["error"]:
        lines.append(f"Cloud {cloud['url']}: {cloud['error']} ({_moment(cloud['error_at'])}).")
    elif cloud["last_ok_at"]:
        lines.append(f"Cloud {cloud['url']}: answers (last at {_moment(cloud['last_ok_at'])}).")
    else:
        lines.append(f"Cloud {cloud['url']}: not asked yet.")
    if secure := report["tls"]:
        days = secure["certificate_days_left"]
        ends = "cannot be read" if days is None else "HAS EXPIRED" if days < 0 else f"ends in {days:.0f} days"
        lines.append(f"TLS on port {secure['port']}; our certificate {ends}.")
    oldest = f", the oldest for {_duration(waiting['oldest_age'])}" if waiting["oldest_age"] is not None else ""
    lines.append(f"Waiting: {waiting['instances']} images, {_size(waiting['bytes'])}{oldest}.")
    for state, queue in report["queue"].items():
        if queue["instances"]:
            lines.append(f"  {state:<10}{queue['instances']:>8} images {_size(queue['bytes']):>10}")
    if limit := report["upload"]["limit"]:
        lines.append(f"Uploads: {limit}.")
    if disk["free_bytes"] is not None:
        note = "; NEW IMAGES ARE REFUSED (A700) until there is room" if disk["refusing"] else ""
        lines.append(f"Disk: {_size(disk['free_bytes'])} free{note}.")
    lines += [f"Look at this: {words}." for words in report["health"]["findings"] if report["running"]]
    totals = report["totals"]
    lines.append(
        f"Since the journal began: {totals['received']} received, {totals['indexed']} indexed in the cloud, "
        f"{totals['duplicates']} sent twice, {totals['refused']} refused."
    )
    if totals["compressed"]:
        lines.append(f"Compressed: {totals['compressed']} images, by {_size(totals['compressed_saved_bytes'])}.")
    if left := report["not_compressed"]:
        reasons = ", ".join(f"{reason} {count}" for reason, count in left.items())
        lines.append(f"Not compressed, though a rule is for them: {reasons}.")
    if totals["known"]:
        lines.append(f"Not uploaded, for the cloud had them: {totals['known']} images, {_size(totals['known_bytes'])}.")
    if totals["missing"]:
        lines.append(f"ERROR: {totals['missing']} files were taken out of the spool before they reached the cloud.")
    lines.append(f"Last image {_moment(report['last_received_at'])}; last upload {_moment(report['last_upload_at'])}.")
    if packing := report["packing"]:
        each = (f"{m} {p['instances'] / p['packs']:.1f} ({_size(p['bytes'] / p['packs'])})" for m, p in packing.items())
        lines.append(f"Images a pack: {', '.join(each)}.")
    asked = report["commitments"]
    if any(asked.values()):
        lines.append(
            f"Storage commitments: {asked['open']} wait for their images, {asked['due']} to be reported, "
            f"{asked['done']} reported, {asked['dead']} taken by nobody."
        )
    for entry in report["failing"]:
        lines.append(f"Upload {entry['pack']} failed {entry['attempts']} times, is tried again: {entry['error']}.")
    for entry in report["attention"][:_SHOWN]:
        why = "; ".join(entry["reasons"]) or entry["state"]
        goes = " WILL BE DELETED HERE within a day, for its age or size." if entry["will_be_deleted"] else ""
        lines.append(f"Needs a person: {entry['instances']} images in attention/{entry['pack']}: {why}.{goes}")
    if (more := len(report["attention"]) - _SHOWN) > 0:
        lines.append(f"{more} more need a person: maypacs-edge quarantine lists them.")
    return "\n".join(lines)


def _moment(seconds: float | None) -> str:
    if seconds is None:
        return "never"
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _duration(seconds: float) -> str:
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{max(seconds, 0):.0f} s"


def _size(size: float) -> str:
    for unit in ("B", "KB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"
