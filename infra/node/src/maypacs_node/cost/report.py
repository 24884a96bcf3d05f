"""The tables of `maypacs cost`: numbers first (`document`), then text (`text`, `markdown`). Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from maypacs_node.cost import early
from maypacs_node.cost.counts import Counted
from maypacs_node.cost.others import OTHERS
from maypacs_node.cost.ours import Ours
from maypacs_node.cost.prices import PriceList
from maypacs_node.cost.usage import MONTH_DAYS, Usage, sum_of

THOUSAND = 1000
_IN_A_PLAN = ("cloudfront_egress", "cloudfront_request", "cloudfront_function", "waf_", "logs_ingest_edge")
#: Names of prices, by the service that bills them.
_SERVICES = (
    ("egress to Viet Nam", ("cloudfront_egress", "egress")),
    ("S3 storage", ("s3_standard", "s3_int", "s3_glacier_ir", "s3_ia", "s3_to", "s3_glacier_ir_retrieval")),
    ("S3 requests", ("s3_tier",)),
    ("API Gateway", ("api_",)),
    (
        "CloudFront requests and functions, WAF",
        ("cloudfront_request", "cloudfront_function", "cloudfront_to_origin", "waf_"),
    ),
    ("Lambda", ("lambda_", "secret_request")),
    ("DynamoDB units", ("dynamodb_write", "dynamodb_read")),
    ("DynamoDB storage, recovery", ("dynamodb_storage", "dynamodb_pitr")),
    ("SQS", ("sqs_",)),
    ("logs", ("logs_",)),
    ("alarms, metrics, secret, KMS", ("alarm", "metric", "secret", "kms_")),
)


def by_service(usage: Usage, prices: PriceList, *, free: bool = False) -> dict[str, float]:
    """Dollars; every price belongs to one service."""
    found: dict[str, float] = {}
    for name, quantity in usage.items():
        service = next((s for s, beginnings in _SERVICES if name.startswith(beginnings)), name)
        found[service] = found.get(service, 0.0) + prices.price(name).cost(quantity, free=free)
    return {s: found[s] for s in sorted(found, key=lambda s: -found[s])}


@dataclass(frozen=True)
class Report:
    ours: Ours
    prices: PriceList
    free: bool = False  #: whether a month's free allowances are deducted

    def document(self) -> dict[str, Any]:
        """All figures in dollars; `per_1000_studies` at the price of the first tier."""
        month = self.ours.month()
        whole = sum_of(month.values())
        hospital = self.ours.hospital
        return {
            "region": self.prices.region,
            "prices": self.prices.date,
            "counts": self.ours.counted.date,
            "hospital": {
                "studies_per_day": hospital.studies_per_day,
                "mix": dict(hospital.mix),
                "years": hospital.years,
                "edges": hospital.edges,
                "reads_per_study": hospital.reads_per_study,
                "instances_per_study": self.ours.instances,
                "series_per_study": self.ours.series,
                "gb_per_study": self.ours.pack_gb,
                "storage_class": self.ours.tier,
                "transition_days": self.ours.lifecycle.days,
                "viewer": self.ours.viewer,
            },
            "per_1000_studies": self._per_1000(),
            "parts_per_1000_studies": {
                "ingest": by_service(self.ours.ingest() * THOUSAND, self.prices),
                "read": by_service(self.ours.read() * THOUSAND, self.prices),
            },
            "idle_month": {name: usage.dollars(self.prices) for name, usage in self.ours.idle().items()},
            "month": {name: usage.dollars(self.prices) for name, usage in month.items()},
            "month_by_service": by_service(whole, self.prices, free=self.free),
            "key_month": {name: usage.dollars(self.prices) for name, usage in self.ours.key_month().items()},
            "early_deletion": self._early_deletion(),
            "sensitivities": self._sensitivities(),
            "month_elsewhere": {other.name: self._month_of(other(self.ours)) for other in OTHERS},
        }

    def _per_1000(self) -> dict[str, dict[str, float]]:
        ours, others = self.ours, [other(self.ours) for other in OTHERS]

        def row(own: Usage, of: str, *arguments: int) -> dict[str, float]:
            usages = {"MayPACS": own} | {other.name: getattr(other, of)(*arguments) for other in others}
            return {name: self._each(usage * THOUSAND) for name, usage in usages.items()}

        return {
            "ingest": row(ours.ingest(), "ingest"),
            "compaction, once": {"MayPACS": self._each(ours.compaction() * THOUSAND)},
            "storage, first month": row(ours.stored(1), "stored", 1),
            "storage, second month": row(ours.stored(2), "stored", 2),
            "storage, fifth month and on": row(ours.stored(5), "stored", 5),
            "a page of the study list": {"MayPACS": self._each(ours.study_list() * THOUSAND)},
            "a read in the dashboard": row(ours.read("packs"), "read"),
            "a read frame by frame (OHIF)": row(ours.read("frames"), "read"),
            "a read by a program": row(ours.retrieve(), "read"),
        }

    def _early_deletion(self) -> dict[str, dict[str, float]]:
        cases = early.cases(self.ours.pack_gb * THOUSAND, moved=self.ours.lifecycle.days)
        return {what: {tier: self._each(usage) for tier, usage in by_class.items()} for what, by_class in cases.items()}

    def _sensitivities(self) -> dict[str, float]:
        """The whole month, when one thing is otherwise."""
        hospital = self.ours.hospital

        def read(times: float) -> Ours:
            return replace(self.ours, hospital=replace(hospital, reads_per_study=times))

        changes: dict[str, Ours] = {
            "studies read frame by frame": replace(self.ours, viewer="frames"),
            "nobody reads anything": read(0),
            "twice the reads": read(2 * hospital.reads_per_study),
            "packs moved after 7 days": self._moved_after(7),
            "packs moved after 30 days": self._moved_after(30),
            "everything stays in S3 Standard": replace(self.ours, tier="STANDARD"),
            "packs to Glacier Instant Retrieval": replace(self.ours, tier="GLACIER_IR"),
            "a hundred edges more": replace(self.ours, hospital=replace(hospital, edges=hospital.edges + 100)),
            "a customer managed key": replace(self.ours, kms=True),
        }
        bills = {name: sum_of(other.month().values()) for name, other in changes.items()}
        found = {name: bill.dollars(self.prices, free=self.free) for name, bill in bills.items()}
        found["free allowances deducted"] = sum_of(self.ours.month().values()).dollars(self.prices, free=True)
        return found | self._with_a_plan()

    def _moved_after(self, days: float) -> Ours:
        document = self.ours.counted.document
        fixed = {**document["fixed"], "pack_transition_days": days}
        return replace(self.ours, counted=Counted({**document, "fixed": fixed}))

    def _with_a_plan(self) -> dict[str, float]:
        """With the cheapest flat rate of the front door that is large enough."""
        bill = sum_of(self.ours.month().values())
        gb, requests = bill["cloudfront_egress"], bill["cloudfront_request"]
        fitting = [plan for plan in self.prices.plans if gb <= plan.gb and requests <= plan.requests]
        if not fitting:
            return {}
        plan = min(fitting, key=lambda each: each.usd)
        rest = Usage({item: n for item, n in bill.items() if not item.startswith(_IN_A_PLAN)})
        return {f"CloudFront's plan {plan.name}": plan.usd + rest.dollars(self.prices, free=self.free)}

    def _each(self, usage: Usage) -> float:
        return sum(self.prices.price(name).usd * quantity for name, quantity in usage.items())

    def _month_of(self, other: Any) -> float:
        hospital = self.ours.hospital
        studies = hospital.studies_per_day * MONTH_DAYS
        total = other.ingest() * studies + other.read() * (studies * hospital.reads_per_study)
        for age in range(1, max(1, round(hospital.years * 12)) + 1):
            total = total + other.stored(age) * studies
        return float((total + other.idle()).dollars(self.prices, free=self.free))


def tables(document: Mapping[str, Any]) -> list[tuple[str, list[str], list[list[str]]]]:
    """Title, head and rows."""
    per_1000 = document["per_1000_studies"]
    columns = list(next(iter(per_1000.values())))
    rows = [[work, *(dollars(row[n]) if n in row else "" for n in columns)] for work, row in per_1000.items()]
    found = [("Dollars for 1,000 studies", ["", *columns], rows)]
    for what, title in (("ingest", "taken in"), ("read", "read once")):
        parts = document["parts_per_1000_studies"][what]
        rows = [[service, dollars(usd)] for service, usd in parts.items()]
        found.append((f"Dollars for 1,000 studies {title}, by service", ["", "MayPACS"], _summed(rows, parts)))
    idle, month = document["idle_month"], document["month"]
    rows = [[name, dollars(usd)] for name, usd in idle.items()]
    found.append(("Dollars for a month in which nothing happens", ["", "MayPACS"], _summed(rows, idle)))
    years = document["hospital"]["years"]
    rows = [[name, dollars(usd)] for name, usd in month.items()]
    found.append((f"Dollars for a month, after {years:g} years", ["", "MayPACS"], _summed(rows, month)))
    services = document["month_by_service"]
    rows = [[name, dollars(usd)] for name, usd in services.items()]
    found.append(("The same month, by service", ["", "MayPACS"], _summed(rows, services)))
    rows = [[name, dollars(usd)] for name, usd in document["key_month"].items()]
    found.append(("What a customer managed key adds to that month", ["", "dollars"], rows))
    fees = document["early_deletion"]
    columns = list(next(iter(fees.values())))
    rows = [[what, *(dollars(by_class[name]) for name in columns)] for what, by_class in fees.items()]
    found.append(("Early-delete fees, dollars for 1,000 studies", ["", *columns], rows))
    rows = [[name, dollars(usd)] for name, usd in document["sensitivities"].items()]
    found.append(("The same month, if one thing is otherwise", ["", "MayPACS"], rows))
    rows = [[name, dollars(usd)] for name, usd in document["month_elsewhere"].items()]
    found.append(("The same month elsewhere", ["", "dollars"], rows))
    return found


def _summed(rows: list[list[str]], parts: Mapping[str, float]) -> list[list[str]]:
    return [*rows, ["all", dollars(sum(parts.values()))]]


def dollars(amount: float) -> str:
    """Two digits that say something, cents at least: 0.0042, 0.42, 42.00, 4,200."""
    if amount >= 1000:
        return f"{amount:,.0f}"
    return f"{amount:.2f}" if amount >= 0.1 or not amount else f"{amount:.2g}"


def introduction(document: Mapping[str, Any]) -> str:
    hospital = document["hospital"]
    mix = ", ".join(f"{name} {share:g}" for name, share in hospital["mix"].items())
    size = f"{hospital['instances_per_study']:.0f} instances and {hospital['gb_per_study'] * 1024:.0f} MiB each"
    return (
        f"{hospital['studies_per_day']:g} studies a day ({mix}), {size} on average; "
        f"{hospital['reads_per_study']:g} reads a study; edges: {hospital['edges']}; {document['region']}; "
        f"packs in {hospital['storage_class']} after {hospital['transition_days']:g} days.\n"
        f"Prices of {document['prices']}, counts of {document['counts']}."
    )


def text(document: Mapping[str, Any]) -> str:
    """For a terminal."""
    blocks = [introduction(document)]
    for title, head, rows in tables(document):
        widths = [max(len(row[n]) for row in [head, *rows]) for n in range(len(head))]
        lines = [_line(row, widths) for row in [head, *rows]]
        blocks.append("\n".join([title, *lines]))
    return "\n\n".join(blocks) + "\n"


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
    return "  " + "  ".join(cells).rstrip()


def markdown(document: Mapping[str, Any]) -> str:
    """For docs/cost.md."""
    blocks = [introduction(document)]
    for title, head, rows in tables(document):
        lines = ["| " + " | ".join(row) + " |" for row in [head, ["---", *["---:"] * (len(head) - 1)], *rows]]
        blocks.append(f"### {title}\n\n" + "\n".join(lines))
    return "\n\n".join(blocks) + "\n"
