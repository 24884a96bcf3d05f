"""`maypacs cost`: what a hospital's studies cost on AWS, and elsewhere."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from maypacs_node.cost import counts, prices, report
from maypacs_node.cost.hospital import MIX, Hospital, parse_mix
from maypacs_node.cost.lifecycle import TIERS
from maypacs_node.cost.ours import Ours

DEFAULT_REGION = "ap-southeast-1"


def register(commands: Any) -> None:
    """Adds the command to the subparsers of `maypacs`."""
    parser = commands.add_parser(
        "cost",
        help="what a hospital's studies cost on AWS, from counted requests and dated prices",
        description="Dollars for 1,000 studies, for an idle month and for a month after some years; docs/cost.md "
        "explains each line.",
    )
    parser.add_argument("--studies-per-day", type=float, required=True, metavar="N")
    mix = ",".join(f"{name}={share * 100:g}" for name, share in MIX.items())
    parser.add_argument("--mix", type=str, default="", metavar="CT=19,MR=12,…", help=f"shares (default: {mix})")
    parser.add_argument("--years", type=float, default=5, metavar="Y", help="the month after these years (default: 5)")
    parser.add_argument("--edges", type=int, default=1, metavar="E", help="edge forwarders (default: 1)")
    parser.add_argument("--reads-per-study", type=float, default=2, metavar="R", help="over its life (default: 2)")
    parser.add_argument(
        "--mb-per-study",
        type=float,
        metavar="MB",
        help="your own average (default: the mix's); requests stay as they were counted",
    )
    parser.add_argument("--viewer", choices=("packs", "frames"), default="packs", help="the dashboard's, or OHIF's")
    parser.add_argument("--storage-class", choices=TIERS, default="INTELLIGENT_TIERING", help="of packs, by lifecycle")
    parser.add_argument("--kms", action="store_true", help="with a customer managed key")
    parser.add_argument("--free-tier", action="store_true", help="deduct what a month has for nothing")
    parser.add_argument("--region", default=DEFAULT_REGION, help=f"one of {', '.join(prices.regions())}")
    parser.add_argument("--prices", type=Path, metavar="FILE", help="a price file of your own (TOML)")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_const", const=_json, dest="form", help="every figure, as JSON")
    form.add_argument("--markdown", action="store_const", const=report.markdown, dest="form", help="as in docs/cost.md")
    parser.set_defaults(run=run, form=report.text)


def run(arguments: argparse.Namespace) -> int:
    write: Callable[[Any], str] = arguments.form
    print(write(document(arguments)), end="")  # noqa: T201 (a command prints)
    return 0


def document(arguments: argparse.Namespace) -> dict[str, Any]:
    """Raises CostError and PriceError, which say what to change."""
    hospital = Hospital(
        studies_per_day=arguments.studies_per_day,
        mix=parse_mix(arguments.mix) if arguments.mix else MIX,
        years=arguments.years,
        edges=arguments.edges,
        reads_per_study=arguments.reads_per_study,
        mb_per_study=arguments.mb_per_study,
    )
    counted = counts.load()
    hospital.check(counted.studies)
    ours = Ours(counted, hospital, arguments.storage_class, arguments.viewer, arguments.kms)
    return report.Report(ours, prices.load(arguments.region, arguments.prices), arguments.free_tier).document()


def _json(found: Any) -> str:
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"
