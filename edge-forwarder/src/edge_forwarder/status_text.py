"""What `maypacs-edge status` shows, in words for people. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from edge_forwarder.progress import size_text
from edge_forwarder.spool.reasons import told

#: So many uploads that need a person are told of one by one.
_SHOWN: Final = 20


def as_text(report: dict[str, Any]) -> str:
    """What `status_report.collect` tells."""
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
    lines.append(f"Waiting: {waiting['instances']} images, {size_text(waiting['bytes'])}{oldest}.")
    for state, queue in report["queue"].items():
        if queue["instances"]:
            lines.append(f"  {state:<10}{queue['instances']:>8} images {size_text(queue['bytes']):>10}")
    if limit := report["upload"]["limit"]:
        lines.append(f"Uploads: {limit}.")
    if disk["free_bytes"] is not None:
        note = "; NEW IMAGES ARE REFUSED (A700) until there is room" if disk["refusing"] else ""
        lines.append(f"Disk: {size_text(disk['free_bytes'])} free{note}.")
    lines += [f"Look at this: {words}." for words in report["health"]["findings"] if report["running"]]
    totals = report["totals"]
    lines.append(
        f"Since the journal began: {totals['received']} received, {totals['indexed']} indexed in the cloud, "
        f"{totals['duplicates']} sent twice, {totals['refused']} refused."
    )
    if totals["compressed"]:
        lines.append(f"Compressed: {totals['compressed']} images, by {size_text(totals['compressed_saved_bytes'])}.")
    if left := report["not_compressed"]:
        reasons = ", ".join(f"{reason} {count}" for reason, count in left.items())
        lines.append(f"Not compressed, though a rule is for them: {reasons}.")
    if totals["known"]:
        lines.append(
            f"Not uploaded, for the cloud had them: {totals['known']} images, {size_text(totals['known_bytes'])}."
        )
    if totals["missing"]:
        lines.append(f"ERROR: {totals['missing']} files were taken out of the spool before they reached the cloud.")
    lines.append(f"Last image {_moment(report['last_received_at'])}; last upload {_moment(report['last_upload_at'])}.")
    if packing := report["packing"]:
        each = (
            f"{m} {p['instances'] / p['packs']:.1f} ({size_text(p['bytes'] / p['packs'])})" for m, p in packing.items()
        )
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
        why = told(entry["reasons"], entry["state"])
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
