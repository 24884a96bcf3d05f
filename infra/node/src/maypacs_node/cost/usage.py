"""From counts to what is billed. Pure.

A `Usage` is a mapping from the name of a price to a quantity in its unit. Counts are those of `counts.json`: requests
by service and operation, units of the tables, and of each function its calls, CPU, requests and log.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from maypacs_node.cost.prices import PriceError, PriceList

GB = 1024**3
#: Hours of a month, as clouds reckon.
MONTH_HOURS = 730
MONTH_DAYS = MONTH_HOURS / 24

Counts = Mapping[str, float]

_TIER1 = frozenset(
    {
        *("PutObject", "CopyObject", "ListObjects", "ListObjectsV2", "ListObjectVersions"),
        *("CreateMultipartUpload", "UploadPart", "UploadPartCopy", "CompleteMultipartUpload"),
    }
)
_TIER2 = frozenset({"GetObject", "HeadObject", "GetObjectTagging", "ListParts", "ListMultipartUploads"})
_UNPAID = frozenset({"DeleteObject", "DeleteObjects", "AbortMultipartUpload"})


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What no client can count. Each is a guess that can be argued with; docs/cost.md says which ones matter."""

    s3_seconds: float = 0.03  #: of a request until its first byte, function and bucket in one region
    s3_bytes_a_second: float = 80e6  #: one connection
    table_seconds: float = 0.006
    cpu_factor: float = 1.0  #: CPU of a function with one full vCPU (1,769 MB) against the machine that counted
    cold_starts: float = 0.05  #: share of calls,
    cold_at_once: float = 6  #: and no more for one activity: a browser asks for so much at the same time
    #: Billed with the call. Imports and first request are about half of it in CPU (docs/benchmarks.md, "cold start");
    #: the rest stands for what no client can measure: sandbox and Python, the layers, TLS, the secret's way.
    cold_seconds: float = 0.9
    platform_log_bytes: float = 330  #: START, END and REPORT of a call
    log_event_bytes: float = 26  #: billed with each line
    access_log_bytes: float = 320  #: of the API, a request
    edge_log_bytes: float = 300  #: of CloudFront, a request
    log_days: float = 90
    request_head_bytes: float = 900  #: request line and headers, from the client
    answer_head_bytes: float = 700
    queue_requests: float = 3  #: a message: sent, received, deleted
    kms_a_request: float = 0.01  #: calls of KMS a request to S3, with bucket keys; 1 without
    #: Of the dashboard's own files, when somebody opens it: its page, and one time in twenty (a new browser, a new
    #: version) the other twenty; 1.3 MB of them as they are sent.
    dashboard_requests: float = 2
    dashboard_bytes: float = 65_000


class Usage(defaultdict[str, float]):
    """Quantities by the names of prices; adds up."""

    def __init__(self, items: Mapping[str, float] | Iterable[tuple[str, float]] = ()) -> None:
        super().__init__(float, items)

    def __add__(self, other: Mapping[str, float]) -> Usage:
        total = Usage(self)
        for name, quantity in other.items():
            total[name] += quantity
        return total

    def __mul__(self, times: float) -> Usage:
        return Usage({name: quantity * times for name, quantity in self.items()})

    def dollars(self, prices: PriceList, *, free: bool = False) -> float:
        return sum(prices.price(name).cost(quantity, free=free) for name, quantity in self.items())


def sum_of(usages: Iterable[Mapping[str, float]]) -> Usage:
    total = Usage()
    for usage in usages:
        total = total + usage
    return total


def requests_to_s3(counts: Counts) -> Usage:
    """Raises PriceError for an operation whose price class is not known here."""
    usage = Usage()
    for name, count in counts.items():
        service, _, operation = name.partition(".")
        if service != "s3" or operation in _UNPAID:
            continue
        if operation not in _TIER1 | _TIER2:
            raise PriceError(f"the price class of {name} is not known")
        usage["s3_tier1" if operation in _TIER1 else "s3_tier2"] += count
    return usage


def of_functions(counts: Counts, memory_mb: Mapping[str, int], assumed: Assumptions) -> Usage:
    """Calls, GB-seconds and logs. A call takes its CPU, and waits for each request and its bytes in turn."""
    usage = Usage()
    for name in sorted({key.split(".")[1] for key in counts if key.startswith("function.")}):

        def of(what: str, name: str = name) -> float:
            return counts.get(f"function.{name}.{what}", 0.0)

        memory = memory_mb[name]
        calls = of("calls")
        cold = min(calls * assumed.cold_starts, assumed.cold_at_once)
        cpu = of("cpu_ms") / 1000 * assumed.cpu_factor * max(1.0, 1769 / memory)
        waits = of("s3_requests") * assumed.s3_seconds + of("table_requests") * assumed.table_seconds
        moved = of("s3_bytes") / assumed.s3_bytes_a_second
        seconds = cpu + waits + moved + cold * assumed.cold_seconds
        usage["lambda_request"] += calls
        usage["lambda_gb_second"] += seconds * memory / 1024
        usage["secret_request"] += cold
        log = of("log_bytes") + of("log_lines") * assumed.log_event_bytes + calls * assumed.platform_log_bytes
        usage += logs(log, assumed)
    return usage


def logs(size: float, assumed: Assumptions) -> Usage:
    """Taken in once, kept for `log_days` (uncompressed: CloudWatch bills less)."""
    return Usage({"logs_ingest": size / GB, "logs_storage": size / GB * assumed.log_days / MONTH_DAYS})


def front_door(requests: float, bytes_in: float, bytes_out: float, assumed: Assumptions) -> Usage:
    """CloudFront and WAF of requests through the one origin."""
    return Usage(
        {
            "cloudfront_request": requests,
            "waf_request": requests,
            "cloudfront_egress": (bytes_out + requests * assumed.answer_head_bytes) / GB,
            "cloudfront_to_origin": (bytes_in + requests * assumed.request_head_bytes) / GB,
            "logs_ingest_edge": requests * assumed.edge_log_bytes / GB,
        }
    )


def dashboard(assumed: Assumptions) -> Usage:
    """The dashboard's own files: each request runs the CloudFront function of its routes (infra/edge.yaml)."""
    requests = assumed.dashboard_requests
    usage = front_door(requests, 0, assumed.dashboard_bytes, assumed)
    return usage + {"cloudfront_function": requests, "s3_tier2": requests}


def of_counts(counts: Counts, memory_mb: Mapping[str, int], assumed: Assumptions, *, kms: bool = False) -> Usage:
    """Everything that an activity was counted to ask for."""
    usage = requests_to_s3(counts) + of_functions(counts, memory_mb, assumed)
    for name, count in counts.items():
        if name.startswith("table."):
            kind = name.rpartition(".")[2]
            if kind in {"write_units", "read_units"}:
                usage[f"dynamodb_{kind.removesuffix('_units')}"] += count
    api, blobs = counts.get("api.requests", 0.0), counts.get("blob.requests", 0.0)
    usage["api_request"] += api
    usage += logs(api * assumed.access_log_bytes, assumed)
    sent = counts.get("api.bytes_out", 0.0) + counts.get("blob.bytes", 0.0)
    usage += front_door(api + blobs, counts.get("api.bytes_in", 0.0), sent, assumed)
    usage["sqs_request"] += counts.get("queue.messages", 0.0) * assumed.queue_requests
    if kms:
        usage["kms_request"] += (usage["s3_tier1"] + usage["s3_tier2"]) * assumed.kms_a_request
        usage["kms_request"] += usage["secret_request"]  # the secret is under the same key
    return Usage({name: quantity for name, quantity in usage.items() if quantity})
