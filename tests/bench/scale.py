"""`python -m tests.bench.scale`: what grows with an archive, measured and drawn; writes docs/scale/.

Archives of 1,000 to 1,000,000 studies in SQLite (filled when they are not in ``--folder`` yet: a million takes about
six minutes on two idle cores, eighteen on busy ones, and 14 GB), 1,000 and 20,000 in dynalite: searches
(`tests.bench.search`), taking in, the size of the index, keeping house, reindexing (`tests.bench.growth`), series of
thousands (`tests.bench.large_series`). With filled archives about six minutes.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from tests.bench import growth, large_series, plot, search
from tests.bench.cost import size as cost
from tests.bench.questions import QUESTIONS, Question
from tests.bench.search import Measured

DOCS = Path(__file__).resolve().parents[2] / "docs" / "scale"
_DRAWN = (
    "PatientID",
    "AccessionNumber",
    "PatientName, two words, of 8 to 12 studies",
    "PatientName=`nguyen*`",
    "ModalitiesInStudy=CT",
    "StudyDate, from a day on",
    "the dashboard's list (25)",
    "default list (100)",
)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1000,10000,100000,1000000", help="studies in SQLite, the smallest first")
    parser.add_argument("--dynalite", default="1000,20000", help="studies in dynalite ('': leave it out)")
    parser.add_argument("--times", type=int, default=200, help="askings of each question")
    parser.add_argument("--folder", type=Path, help="where the filled archives are kept for the next run")
    parser.add_argument("--output", type=Path, default=DOCS, help="the folder that is written")
    chosen = parser.parse_args(arguments)
    sizes = [int(size) for size in chosen.sizes.split(",")]
    with tempfile.TemporaryDirectory(prefix="maypacs-scale-") as temporary:
        folder = chosen.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        with search.in_sqlite(folder, sizes) as filled:
            found = search.compare(filled, times=chosen.times)
            parts = [search.render("SQLite", filled, found)]
        if chosen.dynalite:
            with search.in_dynalite(Path(temporary), [int(size) for size in chosen.dynalite.split(",")]) as filled:
                asked = search.compare(filled, times=chosen.times)
                parts.append(search.render("dynalite (DynamoDB's protocol)", filled, asked))
        ingest = {size: growth.ingest(search.sqlite_path(folder, size)) for size in sizes}
        of_file = {size: growth.bytes_used(search.sqlite_path(folder, size)) / size for size in sizes}
        size, rows = growth.index_size(Path(temporary) / "size.db")
        house, again = growth.housekeeping(Path(temporary)), growth.reindexing(Path(temporary))
    parts += [
        ingest_table(ingest),
        _rest(of_file, size, rows, house, again),
        "## Series of thousands\n",
        large_series.run(),
    ]
    chosen.output.mkdir(parents=True, exist_ok=True)
    made = f"{datetime.now(UTC):%Y-%m-%d}: {platform.machine()}, Python {platform.python_version()}"
    head = f"# What grows with an archive\n\nMade by `python -m tests.bench.scale` on {made}; "
    head += f"{chosen.times} askings of each question.\n"
    head += "\n![Rows examined](rows.svg)\n![CPU](cpu.svg)\n![Taking in](ingest.svg)\n![Dollars](cost.svg)\n"
    (chosen.output / "measured.md").write_text("\n".join([head, *parts]).rstrip("\n") + "\n", encoding="utf-8")
    (chosen.output / "measured.json").write_text(_json(made, sizes, found, ingest), encoding="utf-8")
    for name, drawing in drawings(sizes, found, ingest).items():
        (chosen.output / name).write_text(drawing, encoding="utf-8")
    if chosen.output == DOCS:  # of the figures that were written just now
        cost.DRAWING.write_text(cost.drawing(), encoding="utf-8")


def ingest_table(found: Mapping[int, growth.Ingest]) -> str:
    lines = [
        "## Taking in: the rows of a study, packs and all",
        "",
        "| studies in the archive | studies a second, one core | CPU of the index, ms a study | p95 of a study, ms "
        "| write units a study | requests a study |",
        "|---|---|---|---|---|---|",
    ]
    for size, each in found.items():
        figures = [f"{1000 / each.cpu_ms:.0f}", f"{each.cpu_ms:.1f}", f"{each.p95_ms:.1f}", f"{each.write_units:.1f}"]
        lines.append(f"| {size:,} | {' | '.join(figures)} | {each.requests:.0f} |")
    return "\n".join([*lines, ""])


def _rest(
    of_file: Mapping[int, float], size: float, rows: float, house: Mapping[int, float], again: Mapping[int, float]
) -> str:
    files = ", ".join(f"{each / 1_000:.1f} KB at {studies:,}" for studies, each in of_file.items())
    lines = [
        "## The rest",
        "",
        "| what | by what | figure |",
        "|---|---|---|",
        "| the index in SQLite, a study | with the rows of packs, after ordinary puts "
        f"| {size / 1_000:.1f} KB in {rows:.1f} rows |",
        f"| the same without the rows of packs | as filled for the searches above | {files} |",
        *(f"| a round of the housekeeper, CPU | {n:,} objects in the inbox | {ms:.1f} ms |" for n, ms in house.items()),
        *(f"| reindex, CPU a study of two instances | {n:,} studies | {ms:.1f} ms |" for n, ms in again.items()),
    ]
    return "\n".join([*lines, ""])


def drawings(
    sizes: Sequence[int], found: Mapping[Question, Sequence[Measured]], ingest: Mapping[int, growth.Ingest]
) -> dict[str, str]:
    drawn = {question: found[question] for question in QUESTIONS if question.text in _DRAWN}

    def series(name: str) -> dict[str, list[tuple[float, float]]]:
        return {
            question.text: [(size, getattr(each, name)) for size, each in zip(sizes, measured, strict=True)]
            for question, measured in drawn.items()
        }

    taken = {
        "write units a study": [(size, each.write_units) for size, each in ingest.items()],
        "CPU of the index, ms a study": [(size, each.cpu_ms) for size, each in ingest.items()],
    }
    return {
        "rows.svg": plot.lines("Rows that a search examines", "rows", series("examined")),
        "cpu.svg": plot.lines("CPU of a search, p95", "ms", series("cpu_p95")),
        "ingest.svg": plot.lines("Taking in one study more", "ms, write units", taken),
    }


def _json(
    made: str,
    sizes: Sequence[int],
    found: Mapping[Question, Sequence[Measured]],
    ingest: Mapping[int, growth.Ingest],
) -> str:
    searches = {question.text: [asdict(each) for each in measured] for question, measured in found.items()}
    document = {
        "made": made,
        "sizes": list(sizes),
        "searches": searches,
        "ingest": {size: asdict(each) for size, each in ingest.items()},
    }
    return json.dumps(document, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    main(sys.argv[1:])
