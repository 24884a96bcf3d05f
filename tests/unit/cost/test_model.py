"""A small hospital whose bill can be worked out by hand: one kind of study, round numbers."""

from __future__ import annotations

from typing import Any

import pytest

from maypacs_node.cost.counts import Counted
from maypacs_node.cost.hospital import CostError, Hospital, parse_mix
from maypacs_node.cost.lifecycle import Lifecycle
from maypacs_node.cost.others import GoogleHealthcare, HealthImaging, PrivateNode, UsualDesign
from maypacs_node.cost.ours import POLLS_A_MONTH, Ours
from maypacs_node.cost.usage import GB, Assumptions

MIB = 1024 * 1024
DAYS = 730 / 24  #: of a month; here packs move after one
QUIET = Assumptions(
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


def study(*, series: int = 1, instances: int = 100, packs: int = 1, size: int = GB, **more: Any) -> dict[str, Any]:
    held = {
        "held.blobs/packs.bytes": size,
        "held.blobs/packs.objects": packs,
        "held.meta.bytes": GB // 4,
        "held.index.bytes": GB // 2,
    }
    activities = {
        name: {"api.requests": 1} for name in ("ingest", "view_by_frames", "view_by_packs", "retrieve", "compaction")
    }
    return {"series": series, "instances": instances, "held": held, **activities, **more}


def counted(**studies: dict[str, Any]) -> Counted:
    fixed = {
        "alarms": 11,
        "secrets": 1,
        "web_acls": 1,
        "web_acl_rules": 2,
        "polled_queues": 3,
        "custom_metrics": 7,
        "api_methods": 10,
        "api_method_metrics": False,
        "memory_mb": {"console": 1769},
        "pack_transition_days": DAYS,
    }
    activities = {
        "idle_hour": {"s3.ListObjectsV2": 24},
        "heartbeat": {"api.requests": 1, "seconds": 60},
        "search": {"api.requests": 1},
        "list_thumbnails": {"api.requests": 7, "rows": 7},
    }
    return Counted({"date": "2026-01-01", "fixed": fixed, "studies": studies, **activities})


def ours(*, tier: Any = "INTELLIGENT_TIERING", hospital: Hospital | None = None, **studies: dict[str, Any]) -> Ours:
    of = hospital or Hospital(1, mix={"CT": 1})
    return Ours(counted(**(studies or {"CT": study()})), of, tier, assumed=QUIET)


def test_a_mix_weighs_the_kinds() -> None:
    """Three quarters of 100 instances, one quarter of 20; DX is counted as CR."""
    mixed = ours(hospital=Hospital(1, mix={"CT": 3, "DX": 0.5, "CR": 0.5}), CT=study(), CR=study(instances=20, size=0))
    assert mixed.instances == 80
    assert mixed.pack_gb == 0.75


def test_a_hospitals_own_average_scales_bytes_and_leaves_requests() -> None:
    """5 MB instead of 10 MB: half the egress of an answer of 4 GB, the same two requests."""
    view = {"api.requests": 2, "api.bytes_out": 4 * GB}
    half = ours(hospital=Hospital(1, mix={"CT": 1}, mb_per_study=5), CT=study(size=10_000_000, view_by_frames=view))
    assert half.read("frames")["api_request"] == 2
    assert half.read("frames")["cloudfront_egress"] == pytest.approx(2)
    assert half.stored(1)["s3_standard"] == pytest.approx(0.25 + 5_000_000 / GB)


def test_packs_of_a_hospital_whose_studies_are_small_stay_in_standard() -> None:
    """A pack of 1 GB by the counts, of 100 KB by the hospital's own average: no rule moves that."""
    small = ours(hospital=Hospital(1, mix={"CT": 1}, mb_per_study=0.1)).stored(60)
    assert small["s3_standard"] == pytest.approx(0.25 + 100_000 / GB)
    assert not small["s3_int_archive_instant"] + small["s3_int_monitoring"]


def test_storage_moves_by_age_in_intelligent_tiering() -> None:
    """A quarter of a GB of sidecars stays in Standard; the pack of 1 GB goes through the tiers, a tier a month."""
    model = ours()
    assert model.stored(1) == {"s3_standard": 1.25, "dynamodb_storage": 0.5, "dynamodb_pitr": 0.5}
    last = model.stored(60)
    assert last["s3_standard"] == 0.25
    assert last["s3_int_archive_instant"] == last["s3_int_monitoring"] == pytest.approx(1)


def test_intelligent_tiering_day_by_day() -> None:
    """Moved on day 7: frequent to day 37, infrequent to day 97. Ten objects of 1 GB together."""
    bill = Lifecycle("INTELLIGENT_TIERING", 7).month
    first, second, fourth = bill(1, 1, 10), bill(2, 1, 10), bill(4, 1, 10)
    assert first["s3_standard"] == pytest.approx(7 / DAYS)
    assert first["s3_int_frequent"] == pytest.approx(1 - 7 / DAYS)
    assert first["s3_int_monitoring"] == pytest.approx(10 * (1 - 7 / DAYS))
    assert first["s3_to_intelligent_tiering"] == 10
    assert second["s3_int_frequent"] == pytest.approx((37 - DAYS) / DAYS)
    assert second["s3_int_infrequent"] == pytest.approx((2 * DAYS - 37) / DAYS)
    assert "s3_to_intelligent_tiering" not in second
    assert fourth["s3_int_infrequent"] == pytest.approx((97 - 3 * DAYS) / DAYS)
    assert sum(fourth[f"s3_int_{kind}"] for kind in ("infrequent", "archive_instant")) == pytest.approx(1)


@pytest.mark.parametrize("tier", ["STANDARD", "GLACIER_IR", "INTELLIGENT_TIERING"])
@pytest.mark.parametrize("days", [0, 7, 30, DAYS, 45])
def test_every_gigabyte_is_billed_once_a_month_and_moved_once(tier: Any, days: float) -> None:
    months = [Lifecycle(tier, days).month(number, 1, 1) for number in range(1, 7)]
    kept = ("s3_standard", "s3_glacier_ir", "s3_int_frequent", "s3_int_infrequent", "s3_int_archive_instant")
    assert all(sum(month[name] for name in kept) == pytest.approx(1) for month in months)
    moved = sum(month["s3_to_glacier_ir"] + month["s3_to_intelligent_tiering"] for month in months)
    assert moved == (tier != "STANDARD")


def test_storage_in_glacier_instant_retrieval_is_paid_for_again_when_read() -> None:
    model = ours(tier="GLACIER_IR")
    assert model.stored(2)["s3_glacier_ir"] == pytest.approx(1)
    assert model.stored(2)["s3_to_glacier_ir"] == 1
    assert model.stored(3)["s3_to_glacier_ir"] == 0
    assert model.read()["s3_glacier_ir_retrieval"] == pytest.approx(0.1)


def test_what_is_below_128_kib_never_leaves_standard() -> None:
    small = ours(CT=study(size=100 * 1024, packs=1))
    assert small.stored(5)["s3_standard"] == 0.25 + 100 * 1024 / GB
    assert small.stored(5)["s3_int_monitoring"] == 0


def test_compaction_leaves_few_packs_where_there_were_many_small_ones() -> None:
    """20 packs of 4 MiB become two; 7 stay, as do two large ones."""
    assert ours(CT=study(packs=20, size=80 * MIB)).packs == 2
    assert ours(CT=study(packs=7, size=7 * MIB)).packs == 7
    assert ours(CT=study(packs=2, size=128 * MIB)).packs == 2


def test_a_page_of_the_list_is_a_search_and_its_new_thumbnails() -> None:
    assert ours().study_list(5)["api_request"] == 1 + 5


def test_a_read_of_old_packs_costs_more_in_every_tier_but_standard() -> None:
    """A tenth of the reads is late; 1 GB."""
    assert ours(tier="STANDARD").read() == {**ours(tier="STANDARD").ingest()}
    assert ours().read()["s3_int_frequent"] == pytest.approx(0.15)
    assert ours(tier="GLACIER_IR").read("packs")["s3_glacier_ir_get"] == pytest.approx(0.1)
    assert ours(tier="GLACIER_IR").read("frames")["s3_glacier_ir_get"] == pytest.approx(10)


def test_what_compaction_replaced_lies_there_for_a_month_more() -> None:
    """20 small packs in one series; two large ones are left alone, though a look at them costs something."""
    assert ours(CT=study(packs=20, size=GB // 2)).compaction()["s3_standard"] == pytest.approx(0.5 * 32 * 24 / 730)
    assert "s3_standard" not in ours(CT=study(packs=2)).compaction()
    assert ours(CT=study(packs=2)).compaction()["api_request"] == 1


def test_an_idle_month_line_by_line() -> None:
    idle = ours(hospital=Hospital(1, mix={"CT": 1}, edges=100)).idle()
    assert idle["WAF: ACL and rules"] == {"waf_acl": 1, "waf_rule": 2}
    assert idle["alarms"] == {"alarm": 11}
    assert idle["custom metrics"] == {"metric": 7}
    assert idle["empty queues asked"] == {"sqs_request": 3 * POLLS_A_MONTH}
    assert idle["housekeeping, listings"]["s3_tier1"] == 24 * 730
    assert idle["heartbeats, edges: 100"]["api_request"] == 100 * 730 * 60
    assert "KMS key" not in idle


def test_a_key_of_ones_own_is_asked_by_buckets_tables_and_the_secret() -> None:
    """One function: two tables, every five minutes; the bucket's listings, one in a hundred with bucket keys."""
    model = ours()
    key = model.key_month()
    assert key["the key"] == {"kms_key": 1}
    assert key["tables"] == {"kms_request": 2 * 12 * 730}
    plain, with_keys = (
        key[f"buckets, {how}"]["kms_request"]
        for how in ("if they had no bucket keys", "with bucket keys (as deployed)")
    )
    assert plain >= 24 * 730
    assert with_keys == pytest.approx(plain / 100)


def test_the_dashboards_own_files_run_the_edges_function() -> None:
    """Two requests a page of the list; nothing that a program asks for does."""
    assert ours().study_list()["cloudfront_function"] == 2
    assert "cloudfront_function" not in ours().read() + ours().ingest() + ours().retrieve()


def test_a_month_is_all_the_months_of_storage_and_one_of_everything_else() -> None:
    """Two studies a day, read three times, after a quarter of a year."""
    days = 730 / 24
    month = ours(hospital=Hospital(2, mix={"CT": 1}, years=0.25, reads_per_study=3)).month()
    assert month["ingest"]["api_request"] == pytest.approx(2 * days)
    assert month["reads"]["api_request"] == pytest.approx(6 * days)
    assert month["storage"]["s3_standard"] == pytest.approx(2 * days * (1.25 + 0.25 + 0.25))
    assert month["storage"]["s3_int_frequent"] == pytest.approx(2 * 30)
    assert month["storage"]["s3_int_infrequent"] == pytest.approx(2 * (2 * days - 30))


def test_one_object_an_instance_pays_for_each() -> None:
    """100 instances and one thumbnail."""
    usual = UsualDesign(ours())
    ingest = usual.ingest()
    assert ingest["s3_tier1"] == 101
    assert ingest["sqs_request"] == 300
    assert ingest["dynamodb_write"] == 400
    read = usual.read()
    assert read["cloudfront_request"] == 102
    assert read["cloudfront_egress"] == pytest.approx(1)


def test_small_instances_stay_in_standard_and_large_ones_move_one_by_one() -> None:
    small = UsualDesign(ours(CT=study(instances=10_000, size=10_000 * 90_000), tier="GLACIER_IR"))
    assert small.stored(2)["s3_standard"] == pytest.approx(10_000 * 90_000 / GB)
    large = UsualDesign(ours(tier="GLACIER_IR"))
    assert large.stored(2)["s3_glacier_ir"] == pytest.approx(1)
    assert large.stored(2)["s3_to_glacier_ir"] == 100


def test_healthimaging_bills_a_series_as_5_mb_at_least() -> None:
    """Four series of 1 MB are 20 MB; one of 1 GiB is what it is."""
    assert HealthImaging(ours(CT=study(series=4, size=4_000_000))).stored(1) == {
        "healthimaging_frequent": pytest.approx(20e6 / GB)
    }
    assert HealthImaging(ours()).stored(2) == {"healthimaging_archive": 1}


def test_google_bills_metadata_apart_and_each_request() -> None:
    google = GoogleHealthcare(ours(), metadata_bytes=GB / 100)
    assert google.stored(1) == {"google_blob": 1, "google_structured": pytest.approx(1)}
    assert google.ingest() == {"google_request": 100}
    assert google.read() == {"google_search": 1, "google_request": 101, "google_egress": 1}


def test_machines_of_ones_own_cost_the_same_every_month() -> None:
    """One for 3,000 studies a day and 100 TB; 1,000 studies of 1 GB a day for a year are 365,000 GB."""
    assert PrivateNode(ours()).idle() == {"node_server": 1, "node_power": pytest.approx(58.4)}
    assert PrivateNode(ours(hospital=Hospital(1000, mix={"CT": 1}, years=1))).idle()["node_server"] == 4
    many = ours(hospital=Hospital(10_000, mix={"CT": 1}, years=1), CT=study(size=1))
    assert PrivateNode(many).idle()["node_server"] == 4


@pytest.mark.parametrize(
    ("text", "mix"),
    [("CT=20,MR=80", {"CT": 20, "MR": 80}), (" ct=1 , us=0", {"CT": 1, "US": 0}), ("CT=.5", {"CT": 0.5})],
)
def test_a_mix_is_parts_of_a_whole(text: str, mix: dict[str, float]) -> None:
    assert parse_mix(text) == mix


@pytest.mark.parametrize(
    "text", ["CT", "CT=", "=3", "CT=x", "CT=-1", "CT=nan", "CT=inf", "CT=1,CT=2", "CT=0", ",", "CT=1e308,MR=1e308"]
)
def test_a_mix_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(CostError, match="--mix"):
        parse_mix(text)


@pytest.mark.parametrize(
    "nonsense",
    [
        {"studies_per_day": 0},
        {"studies_per_day": -1},
        {"studies_per_day": float("nan")},
        {"studies_per_day": float("inf")},
        {"studies_per_day": 1, "years": 0},
        {"studies_per_day": 1, "years": 1000},
        {"studies_per_day": 1, "edges": -1},
        {"studies_per_day": 1, "reads_per_study": -0.1},
        {"studies_per_day": 1, "mb_per_study": 0},
    ],
)
def test_numbers_that_no_hospital_has_are_refused(nonsense: dict[str, Any]) -> None:
    with pytest.raises(CostError):
        Hospital(**nonsense).check({"CR": 1, "US": 1, "CT": 1, "MR": 1, "MG": 1})
