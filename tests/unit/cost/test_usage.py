"""From counts to bills: each line derived by hand for a simple case."""

from __future__ import annotations

import pytest

from maypacs_node.cost.prices import PriceError
from maypacs_node.cost.usage import GB, Assumptions, Usage, front_door, of_counts, of_functions, requests_to_s3

NOTHING_ASSUMED = Assumptions(
    s3_seconds=0,
    table_seconds=0,
    cold_starts=0,
    platform_log_bytes=0,
    log_event_bytes=0,
    access_log_bytes=0,
    edge_log_bytes=0,
    request_head_bytes=0,
    answer_head_bytes=0,
)
MEMORY = {"console": 1769, "housekeeper": 512}


def test_usages_add_up_and_scale() -> None:
    assert Usage({"a": 1}) + {"a": 2, "b": 3} == {"a": 3, "b": 3}
    assert Usage({"a": 2}) * 3 == {"a": 6}


def test_s3_has_two_classes_of_requests_and_deletes_for_nothing() -> None:
    counts = {"s3.PutObject": 2, "s3.CopyObject": 1, "s3.UploadPartCopy": 1, "s3.ListObjectsV2": 1, "s3.GetObject": 5}
    assert requests_to_s3({**counts, "s3.DeleteObject": 7, "dynamodb.GetItem": 9}) == {"s3_tier1": 5, "s3_tier2": 5}


def test_an_operation_without_a_class_is_not_forgotten() -> None:
    with pytest.raises(PriceError, match="SelectObjectContent"):
        requests_to_s3({"s3.SelectObjectContent": 1})


def test_a_function_is_billed_for_its_memory_while_it_works_and_waits() -> None:
    """Two calls: 1 s of CPU, three requests to S3 of 0.1 s, five to the table of 0.02 s: 1.4 s of 1,769 MB."""
    counts = {
        "function.console.calls": 2,
        "function.console.cpu_ms": 1000,
        "function.console.s3_requests": 3,
        "function.console.table_requests": 5,
    }
    assumed = Assumptions(s3_seconds=0.1, table_seconds=0.02, cold_starts=0, platform_log_bytes=0)
    usage = of_functions(counts, MEMORY, assumed)
    assert usage["lambda_request"] == 2
    assert usage["lambda_gb_second"] == pytest.approx(1.4 * 1769 / 1024)


def test_less_memory_is_less_cpu_so_the_same_work_takes_longer() -> None:
    """512 MB have 512/1769 of a CPU: the GB-seconds stay."""
    counts = {"function.housekeeper.calls": 1, "function.housekeeper.cpu_ms": 100}
    usage = of_functions(counts, MEMORY, NOTHING_ASSUMED)
    assert usage["lambda_gb_second"] == pytest.approx(0.1 * 1769 / 1024)


def test_cold_starts_are_a_share_of_calls_and_read_the_secret() -> None:
    usage = of_functions(
        {"function.console.calls": 100},
        MEMORY,
        Assumptions(cold_starts=0.1, cold_at_once=20, cold_seconds=2, platform_log_bytes=0),
    )
    assert usage["lambda_gb_second"] == pytest.approx(100 * 0.1 * 2 * 1769 / 1024)
    assert usage["secret_request"] == 10


def test_a_thousand_frames_of_one_viewer_are_a_few_cold_starts() -> None:
    usage = of_functions({"function.console.calls": 1000}, MEMORY, Assumptions(cold_starts=0.05, cold_at_once=6))
    assert usage["secret_request"] == 6


def test_logs_are_taken_in_and_kept() -> None:
    """1 GB of lines, kept for 3 months of 730 hours."""
    assumed = Assumptions(platform_log_bytes=0, log_event_bytes=0, cold_starts=0, log_days=3 * 730 / 24)
    usage = of_functions({"function.console.calls": 1, "function.console.log_bytes": GB}, MEMORY, assumed)
    assert usage["logs_ingest"] == 1
    assert usage["logs_storage"] == pytest.approx(3)


def test_the_front_door_counts_requests_twice_and_bytes_both_ways() -> None:
    """CloudFront and WAF; heads of requests and answers are bytes too."""
    assumed = Assumptions(request_head_bytes=100, answer_head_bytes=200, edge_log_bytes=0)
    usage = front_door(10, GB, 2 * GB, assumed)
    assert usage["cloudfront_request"] == usage["waf_request"] == 10
    assert usage["cloudfront_to_origin"] == pytest.approx(1 + 1000 / GB)
    assert usage["cloudfront_egress"] == pytest.approx(2 + 2000 / GB)


def test_an_activity_is_the_sum_of_its_parts() -> None:
    """One API call that leads to a blob of a GB, two messages, and units of both tables."""
    counts = {
        "api.requests": 1,
        "blob.requests": 1,
        "blob.bytes": GB,
        "queue.messages": 2,
        "s3.GetObject": 1,
        "table.index.read_units": 1.5,
        "table.accounts.read_units": 1,
        "table.index.write_units": 4,
        "table.index.of_these_index": 2,
        "dynamodb.GetItem": 3,
    }
    assert of_counts(counts, MEMORY, NOTHING_ASSUMED) == {
        "api_request": 1,
        "cloudfront_request": 2,
        "waf_request": 2,
        "cloudfront_egress": 1,
        "sqs_request": 6,
        "s3_tier2": 1,
        "dynamodb_read": 2.5,
        "dynamodb_write": 4,
    }


def test_a_key_of_ones_own_is_asked_now_and_then() -> None:
    assumed = Assumptions(kms_a_request=0.01)
    assert of_counts({"s3.GetObject": 300}, MEMORY, assumed, kms=True)["kms_request"] == pytest.approx(3)
    assert "kms_request" not in of_counts({"s3.GetObject": 300}, MEMORY, assumed)
