"""SIGHUP: what of edge.toml changes while the service runs, and what has to wait for a restart.

A file that is wrong changes nothing. What may change takes effect for the next association, request or decision; an
association that is open keeps what it was opened under.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from typing import Any, Final

from edge_forwarder.config import SECTIONS, Config

#: By section, what is looked up anew each time; None: all of it.
LIVE: Final[Mapping[str, frozenset[str] | None]] = {
    "edge": frozenset({"log_level"}),
    "cloud": frozenset({"key_days"}),
    "spool": frozenset({"min_free_mib", "max_mib", "max_instance_mib"}),
    "upload": frozenset({"pause", "windows", "stat_devices", "stat_modalities", "stat_priorities", "bulk_devices"}),
    "dimse": None,
    "tls": frozenset({"certificate", "key"}),
    "commitment": None,
    "packing": None,
    "health": frozenset({"heartbeat", "heartbeat_seconds", "echo_minutes", "quiet_hours"}),
}


def merge(running: Config, wanted: Config) -> tuple[Config, list[str], list[str]]:
    """What is in force from now on; the names of what changed, and of what would need a restart. Pure."""
    sections: dict[str, Any] = {}
    changed: list[str] = []
    waiting: list[str] = []
    for name in SECTIONS:
        old, new = getattr(running, name), getattr(wanted, name)
        live = LIVE.get(name, frozenset())
        if name == "tls" and not (old.certificate and new.certificate):
            live = frozenset()  # a port would have to be opened, or closed
        taken: dict[str, Any] = {}
        for key in _differences(old, new):
            if live is None or key in live:
                taken[key] = getattr(new, key)
                changed.append(f"[{name}] {key}")
            else:
                waiting.append(f"[{name}] {key}")
        sections[name] = replace(old, **taken)
    if running.devices != wanted.devices:
        changed.append("[[device]]")
    return replace(running, **sections, devices=wanted.devices), changed, waiting


def _differences(old: Any, new: Any) -> Iterator[str]:
    return (field.name for field in fields(old) if getattr(old, field.name) != getattr(new, field.name))
