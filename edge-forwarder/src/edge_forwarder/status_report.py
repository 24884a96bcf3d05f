"""What `maypacs-edge status` shows: read from the spool and its journal, whether the service runs or not."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterable
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
from edge_forwarder.spool.layout import Layout
from edge_forwarder.spool.lock import is_locked
from edge_forwarder.spool.naming import SpooledFile
from edge_forwarder.upload.compressor import LEFT

#: In the order in which an image passes through them.
STATES: Final = ("received", "packed", "uploading", "failed", "sent", "indexed")
#: So many failing uploads are told of one by one.
_SHOWN: Final = 20
_TOTALS: Final = ("received", "received_bytes", "uploads", "uploaded_bytes", "indexed", "duplicates", "set_aside")
_SAVED: Final = ("known", "known_bytes", "compressed", "compressed_saved_bytes")
_TROUBLES: Final = ("refused", "missing", "failed_uploads")
_TIMES: Final = ("last_received_at", "last_upload_at", "last_indexed_at", "last_refused_at", "started_at")


def collect(config: Config, now: float | None = None) -> dict[str, Any]:
    """Everything, as JSON values. Times and ages in seconds, sizes in bytes. Raises OSError, sqlite3.Error."""
    now = time.time() if now is None else now
    folder, layout = config.spool_folder, Layout(config.spool_folder)
    queues, facts, known, failing = _read_journal(layout.journal)
    commitments = _read_ledger(layout.ledger)
    # What was handed over is not in the journal yet. It moves to `received`, so it is looked for first.
    by_name = {file.name: file for place in (layout.handed, layout.received) for file in _files(place)}
    on_disk = sorted(by_name.values(), key=_by_name)
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
        "attention": _attention(layout.attention),
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
