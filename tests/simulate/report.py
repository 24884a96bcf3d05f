"""The day as a page of Markdown."""

from __future__ import annotations

import os
import platform
import statistics
from datetime import UTC, datetime

from tests.simulate.day import MODALITIES, Day, hour_name
from tests.simulate.devices import FLEET

_MB = 1e6


def markdown(day: Day, *, share: float, seed: int) -> str:
    memory, files = day.growth()
    whole = "" if share == 1 else f"; {share:.0%} of the exams"
    lines = [
        "# A day of a hospital with 400 beds",
        "",
        f"Made by `make simulate` on {datetime.now(UTC).date().isoformat()}: 24 hours in {day.seconds / 60:.1f} minutes"
        f" ({day.factor:.0f} times as fast{whole}; seed {seed}), {os.cpu_count()} cores, {platform.machine()}, Python"
        f" {platform.python_version()}; senders, edge, a node as the cloud and its storage on one machine. The edge's"
        " patience with ultrasounds shrinks as the day does; CT and MR images have 256 x 256 pixels.",
        "",
        "| | |",
        "|---|---|",
        f"| images | {day.images}, {sum(s.bytes for s in day.sent.values()) / 1e9:.1f} GB |",
        f"| refused or unanswered | {sum(s.refused for s in day.sent.values())} |",
        f"| average rate | {day.images / day.seconds:.0f} images/s,"
        f" {sum(s.bytes for s in day.sent.values()) / day.seconds / _MB:.1f} MB/s |",
        f"| CPU of the edge | {day.cpu / day.images * 1000:.1f} ms an image, everything included |",
        f"| from the end of the day to an empty spool | {day.searchable:.1f} s |",
        f"| the latest that a device was behind its day | {day.late:.1f} s |",
        f"| memory after the warm-up (the first five hours) | {memory:+.1%} (goal: under +5 %) |",
        f"| open files after the warm-up | {files:+d} (goal: under +8) |",
        "",
        "Images a second: the most within one association of ten images or more.",
        "",
        "| modality | devices | studies | series | associations | images | MB | images/s | packs | images/pack |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for modality in MODALITIES:
        s = day.sent[modality]
        figures = (FLEET[modality], len(s.studies), len(s.series), s.associations, s.images, f"{s.bytes / _MB:.0f}")
        rate = f"{s.busiest:.0f}" if s.busiest else ""
        ratio = f"{s.images / s.packs:.1f}" if s.packs else ""
        lines.append(f"| {modality} | " + " | ".join(map(str, (*figures, rate, s.packs, ratio))) + " |")
    lines += ["", "| hour | memory, MB | open files | threads | images waiting |", "|---|---|---|---|---|"]
    for hour, samples in sorted(day.hours().items()):
        medians = [
            statistics.median(of) for of in zip(*((s.memory / _MB, s.files, s.threads) for s in samples), strict=True)
        ]
        waiting = max(s.waiting for s in samples)
        lines.append(f"| {hour_name(hour)} | {medians[0]:.1f} | {medians[1]:.0f} | {medians[2]:.0f} | {waiting} |")
    return "\n".join(lines) + "\n"
