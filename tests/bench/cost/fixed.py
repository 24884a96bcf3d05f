"""What the templates make that costs something whether it is used or not."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from tests.support.deployer import ROOT, read_template


def _resources(*files: str) -> list[dict[str, Any]]:
    return [each for file in files for each in read_template(ROOT / file)["Resources"].values()]


def _of(resources: Iterable[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [each.get("Properties", {}) for each in resources if each["Type"] == kind]


def read() -> dict[str, Any]:
    resources = _resources("template.yaml", "infra/data.yaml", "infra/edge.yaml")
    functions = _of(resources, "AWS::Serverless::Function")
    events = [event for function in functions for event in function.get("Events", {}).values()]
    (api,) = _of(resources, "AWS::Serverless::Api")
    (acl,) = _of(resources, "AWS::WAFv2::WebACL")
    return {
        "alarms": len(_of(resources, "AWS::CloudWatch::Alarm")),
        "secrets": len(_of(resources, "AWS::SecretsManager::Secret")),
        "web_acls": 1,
        "web_acl_rules": len(acl["Rules"]),
        "polled_queues": sum(event["Type"] == "SQS" for event in events),
        "api_methods": sum(event["Type"] == "Api" for event in events),
        "api_method_metrics": any(each.get("MetricsEnabled") for each in api.get("MethodSettings", [])),
        "pack_transition_days": read_template(ROOT / "infra/data.yaml")["Parameters"]["PackTransitionDays"]["Default"],
        "calls_an_hour": {name: times for name, function in _named(("template.yaml",)) if (times := _times(function))},
        "memory_mb": {name: function["MemorySize"] for name, function in _named(("template.yaml",))},
    }


def _times(function: dict[str, Any]) -> int:
    """Calls an hour by a schedule of rates, such as ``rate(5 minutes)``."""
    events = [each for each in function.get("Events", {}).values() if each["Type"] == "Schedule"]
    times = 0
    for event in events:
        found = re.fullmatch(r"rate\((\d+) (minute|hour)s?\)", event["Properties"]["Schedule"])
        if not found:
            raise ValueError(f"a schedule that is not understood here: {event['Properties']['Schedule']}")
        times += max(1, 60 // int(found[1])) if found[2] == "minute" else 1
    return times


def _named(files: tuple[str, ...]) -> list[tuple[str, dict[str, Any]]]:
    """Functions by the names of their folders; the second of one folder as …_bulk."""
    found = [pair for file in files for pair in read_template(ROOT / file)["Resources"].items()]
    functions = [(name, each["Properties"]) for name, each in found if each["Type"] == "AWS::Serverless::Function"]
    return [
        (each["CodeUri"].removeprefix("functions/") + "_bulk" * name.endswith("Bulk"), each) for name, each in functions
    ]
