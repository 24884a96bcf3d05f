"""`python -m tests.bench.cost`: counts what a hospital's work asks of S3, DynamoDB, the queues and the functions, and
writes the counts that `maypacs cost` prices (infra/node/src/maypacs_node/cost/counts.json).

Every request is counted where it leaves us; docs/cost.md says what is not counted. CPU is this machine's: it is the
only figure that differs from run to run.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from tests.bench.cost import activities, fixed
from tests.bench.cost.studies import KINDS
from tests.bench.cost.world import World, world
from tests.bench.table import today

from maypacs_node.cost.counts import COUNTS


def run(place: World, kinds: list[str]) -> dict[str, Any]:
    activities.ingest(place, KINDS["CR"], 999, place.edge)  # the first of everything: what a process then remembers
    place.taken()
    held = place.held()
    found: dict[str, Any] = {}
    for number, name in enumerate(kinds, 1):
        kind = KINDS[name]
        done = activities.ingest(place, kind, number, place.edge)
        activity: dict[str, Any] = {"ingest": place.taken()}
        after = place.held()
        activity["held"] = {key: after[key] - held.get(key, 0) for key in sorted(after) if after[key] != held.get(key)}
        for view in (activities.view_by_frames, activities.view_by_packs, activities.retrieve):
            view(place, done)
            activity[view.__name__] = place.taken()
        activities.compaction(place)
        activity["compaction"] = place.taken()
        held = place.held()  # composed answers, which live a day
        found[name] = {"series": kind.series, "instances": kind.images, **activity}
        print(name, json.dumps(activity), flush=True)
    thumbnails = activities.search(place)
    search = place.taken()
    activities.list_thumbnails(place, thumbnails)
    pictures = place.taken() | {"rows": len(thumbnails)}
    activities.idle_hour(place, fixed.read()["calls_an_hour"])
    hour = place.taken()
    activities.heartbeat(place)
    place.taken()
    activities.heartbeat(place)  # as any but the first
    beat = place.taken()
    return {
        "studies": found,
        "search": search,
        "list_thumbnails": pictures,
        "idle_hour": hour,
        "heartbeat": beat | {"seconds": place.runtime.settings.heartbeat_seconds},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--output", type=Path, default=COUNTS)
    arguments = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="maypacs-cost-"))
    try:
        with world(folder) as place:
            counts = run(place, arguments.kinds)
            counts = {"date": today(), "fixed": {**fixed.read(), "custom_metrics": len(place.metrics)}, **counts}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    arguments.output.write_text(json.dumps(counts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
