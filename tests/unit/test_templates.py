"""What the templates say that an emulator cannot prove: asserted on their text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from tests.support.deployer import ROOT, read_template
from tests.support.functions import load_function

from maypacs.index import due
from maypacs.index.dynamodb_table import create_table_request
from maypacs.settings import Settings

TEMPLATE = read_template(ROOT / "template.yaml")
DATA = read_template(ROOT / "infra" / "data.yaml")
EDGE = read_template(ROOT / "infra" / "edge.yaml")
FUNCTIONS = {n: r["Properties"] for n, r in TEMPLATE["Resources"].items() if r["Type"] == "AWS::Serverless::Function"}

#: Read by one function each from its environment, beside the settings: where messages are sent on AWS.
QUEUE_NAMES = {"MAYPACS_INGEST_QUEUE": "Housekeeper", "MAYPACS_BULK_QUEUE": "Ingest"}


def of_type(template: dict[str, Any], kind: str) -> dict[str, dict[str, Any]]:
    return {name: r["Properties"] for name, r in template["Resources"].items() if r["Type"] == kind}


def strings(node: Any) -> Iterator[str]:
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for value in node.values():
            yield from strings(value)
    elif isinstance(node, list):
        for value in node:
            yield from strings(value)


# Settings and routes


def test_the_environment_of_the_functions_is_the_settings() -> None:
    """Every setting is set, and nothing that is no setting; each name is written in the settings' own docstrings."""
    source = (ROOT / "layers" / "maypacs" / "src" / "maypacs" / "settings.py").read_text(encoding="utf-8")
    documented = set(re.findall(r'"""(MAYPACS_[A-Z0-9_]+)', source))
    assert len(documented) == len(Settings.__dataclass_fields__)
    given = {n for n in TEMPLATE["Globals"]["Function"]["Environment"]["Variables"] if n.startswith("MAYPACS_")}
    assert given == documented
    own = {
        (name, variable)
        for name, properties in FUNCTIONS.items()
        for variable in properties.get("Environment", {}).get("Variables", {})
    }
    assert own == {(function, variable) for variable, function in QUEUE_NAMES.items()}


def test_the_limits_of_aws_are_those_of_the_gateway() -> None:
    """Inline answers stay under what Lambda carries; /blobs/ is CloudFront's and uploads go to S3."""
    given = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]
    assert int(given["MAYPACS_INLINE_LIMIT"]) <= 4_500_000
    assert (given["MAYPACS_LIMITS"], given["MAYPACS_BLOBS"], given["MAYPACS_UPLOADS"]) == (
        "gateway",
        "cloudfront",
        "presigned",
    )


def api_events(function: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for event in FUNCTIONS[function]["Events"].values():
        assert event["Type"] == "Api"
        found.setdefault(event["Properties"]["Path"], set()).add(event["Properties"]["Method"].upper())
    return found


def test_every_route_of_both_apps_is_reached_through_the_template() -> None:
    """A route that the API does not declare answers 403 at the gateway, however well it is written."""
    console, dicomweb = load_function("console"), load_function("dicomweb")
    wanted = {"Console": {"OPTIONS"}, "Dicomweb": {"OPTIONS", "HEAD"}}
    for path, methods in console.app.routes.items():
        assert path.startswith("/api/")
        wanted["Console"] |= set(methods)
    for operations in dicomweb.ROUTES.values():
        wanted["Dicomweb"] |= set(operations)
    assert api_events("Console").keys() == {"/api/{proxy+}"}
    assert api_events("Dicomweb").keys() == {"/dicomweb/{proxy+}"}
    assert wanted["Console"] <= api_events("Console")["/api/{proxy+}"]
    assert wanted["Dicomweb"] <= api_events("Dicomweb")["/dicomweb/{proxy+}"]


def test_methods_are_named_one_by_one() -> None:
    """ANY would also let through what no route wants, and emulators do not know it."""
    for function in ("Console", "Dicomweb"):
        for methods in api_events(function).values():
            assert methods <= {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"}


def test_a_function_folder_is_one_module_that_imports_from_layers_alone() -> None:
    """So that the folder and the layers are all there is to deploy."""
    for properties in FUNCTIONS.values():
        folder = ROOT / properties["CodeUri"]
        assert [f.name for f in folder.iterdir() if f.name != "__pycache__"] == ["handler.py"]
    assert {p["CodeUri"] for p in FUNCTIONS.values()} == {
        f"functions/{folder.name}" for folder in (ROOT / "functions").iterdir() if folder.is_dir()
    }


# The API


def test_the_gateways_own_answers_are_json_and_readable_by_viewers_of_other_origins() -> None:
    """The function is never called for these; above the size limit the answer names the upload route."""
    answers = TEMPLATE["Resources"]["Api"]["Properties"]["GatewayResponses"]
    assert answers.keys() >= {"DEFAULT_4XX", "DEFAULT_5XX", "REQUEST_TOO_LARGE"}
    for answer in answers.values():
        assert answer["ResponseParameters"]["Headers"]["Access-Control-Allow-Origin"] == "'*'"
        document = json.loads(answer["ResponseTemplates"]["application/json"])
        assert document["title"]
        assert "$context.error.message" not in json.dumps(document)  # it may quote the request
    too_large = json.loads(answers["REQUEST_TOO_LARGE"]["ResponseTemplates"]["application/json"])
    assert "/api/archives/{archive}/uploads" in too_large["detail"]


def test_no_log_of_the_gateway_has_a_path_a_query_or_a_body() -> None:
    """A QIDO query has names in it; DataTrace would log bodies."""
    api = TEMPLATE["Resources"]["Api"]["Properties"]
    fields = set(re.findall(r"\$context\.([A-Za-z.]+)", api["AccessLogSetting"]["Format"]))
    assert fields == {
        "requestId",
        "requestTimeEpoch",
        "httpMethod",
        "resourcePath",
        "status",
        "responseLength",
        "responseLatency",
        "integrationLatency",
        "error.responseType",
    }
    json.loads(api["AccessLogSetting"]["Format"])
    for setting in api["MethodSettings"]:
        assert setting["DataTraceEnabled"] is False
        assert setting["LoggingLevel"] == "OFF"
    assert TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]["POWERTOOLS_LOGGER_LOG_EVENT"] == "false"


def test_bodies_are_binary_and_only_cloudfront_gets_in() -> None:
    """BinaryMediaTypes as AWS spells */*, and a key that only CloudFront sends on every method."""
    api = TEMPLATE["Resources"]["Api"]["Properties"]
    assert api["BinaryMediaTypes"] == ["*~1*"]
    assert api["Auth"] == {"ApiKeyRequired": True}
    assert api["EndpointConfiguration"] == {"Type": "REGIONAL"}
    assert TEMPLATE["Parameters"]["OriginKey"]["NoEcho"] is True


# Roles


def statements() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, role in of_type(TEMPLATE, "AWS::IAM::Role").items():
        assert "ManagedPolicyArns" not in role, f"{name}: managed policies reach further than a function needs"
        for policy in role["Policies"]:
            for statement in policy["PolicyDocument"]["Statement"]:
                yield name, statement["Fn::If"][1] if "Fn::If" in statement else statement


def test_no_role_has_a_star_for_an_action_or_a_resource() -> None:
    """The one exception: the keys below a prefix of a bucket, which is what such a resource is for."""
    below_a_prefix = re.compile(r"/(?:[a-z*]+/)*\*\Z")
    count = 0
    for name, statement in statements():
        for action in strings(statement["Action"]):
            assert "*" not in action, f"{name}: {action}"
        for text in strings(statement["Resource"]):
            if "*" in text:
                assert below_a_prefix.match(text), f"{name}: {text}"
                assert all(a.startswith("s3:") for a in strings(statement["Action"]))
                assert text != "/*" or statement["Sid"] == "Inbox", f"{name}: a whole bucket"
        count += 1
    assert count > 30


def test_every_function_has_a_role_that_says_what_it_is_for() -> None:
    """SAM would add policies of its own where a function names no role."""
    roles = {name: properties["Role"]["Fn::GetAtt"][0] for name, properties in FUNCTIONS.items()}
    assert roles == {
        "Dicomweb": "DicomwebRole",
        "Console": "ConsoleRole",
        "Ingest": "IngestRole",
        "IngestBulk": "IngestRole",
        "Thumbnails": "ThumbnailsRole",
        "Housekeeper": "HousekeeperRole",
        "Compactor": "CompactorRole",
        "Eraser": "EraserRole",
    }


@pytest.mark.parametrize(
    ("role", "forbidden"),
    [
        ("DicomwebRole", {"dynamodb:DeleteItem AccountsTableArn", "sqs:SendMessage"}),
        ("ConsoleRole", {"s3:GetObject blobs", "s3:GetObject decisions", "dynamodb:PutItem IndexTableArn"}),
        ("ThumbnailsRole", {"dynamodb:PutItem", "s3:DeleteObject", "InboxBucketArn"}),
        ("IngestRole", {"Query AccountsTableArn", "PutItem AccountsTableArn", "DeleteObject decisions"}),
        ("HousekeeperRole", {"dynamodb:", "s3:GetObject", "s3:PutObject"}),
        ("CompactorRole", {"InboxBucketArn", "DeleteObject decisions", "DeleteObject trash", "s3:DeleteObjectVersion"}),
        ("EraserRole", {"PutItem AccountsTableArn", "GetItem AccountsTableArn", "DeleteObject decisions", "sqs:"}),
    ],
)
def test_a_role_lacks_what_would_hurt_most(role: str, forbidden: set[str]) -> None:
    """Named by hand: the accounts are the console's to change, the index is not, and so on."""
    given = {
        f"{action} {' '.join(strings(statement['Resource']))}"
        for name, statement in statements()
        if name == role
        for action in strings(statement["Action"])
    }
    assert given
    for words in forbidden:
        assert not [line for line in given if all(word in line for word in words.split())], words


def test_one_function_may_delete_versions() -> None:
    """What it deletes nobody brings back; decisions are not among it."""
    may = {n: s for n, s in statements() if "s3:DeleteObjectVersion" in strings(s["Action"])}
    assert list(may) == ["EraserRole"]
    roots = {line for resource in may["EraserRole"]["Resource"] for line in strings(resource) if line.startswith("/")}
    assert roots == {"/blobs/*", "/meta/*", "/trash/*", "/quarantine/*", "/spill/*"}


def test_the_console_reads_of_the_archive_which_instances_there_are_and_no_image() -> None:
    """Sidecars alone: what they say of patients is in the index, too, which it reads for the dashboard."""
    read = [s["Resource"] for n, s in statements() if n == "ConsoleRole" and "s3:GetObject" in strings(s["Action"])]
    of_archive = [line for resource in read if "ArchiveBucketArn" in (line := " ".join(strings(resource)))]
    assert [line.rpartition(" ")[2] for line in of_archive] == ["/meta/*"]


def test_ingest_learns_of_the_accounts_which_archives_exist_and_nothing_else() -> None:
    """One item at a time, of that one partition: no user, no key."""
    ((_, statement),) = [(n, s) for n, s in statements() if n == "IngestRole" and s["Sid"] == "Archives"]
    assert statement["Action"] == ["dynamodb:GetItem"]
    assert statement["Condition"] == {"ForAllValues:StringEquals": {"dynamodb:LeadingKeys": ["archives"]}}
    accounts = [
        s["Sid"]
        for n, s in statements()
        if n == "IngestRole" and "AccountsTableArn" in " ".join(strings(s["Resource"]))
    ]
    assert accounts == ["Archives"]


# Queues, memory, time (protocols: ingest)


@pytest.mark.parametrize(
    ("function", "memory", "seconds", "queue", "visibility"),
    [
        ("Ingest", 1769, 120, "IngestQueue", 720),
        ("IngestBulk", 3008, 900, "BulkQueue", 5400),
        ("Thumbnails", 1769, 30, "ThumbnailQueue", 180),
    ],
)
def test_queues_deliver_one_object_at_a_time_and_give_up_late(
    function: str, memory: int, seconds: int, queue: str, visibility: int
) -> None:
    """One message an object, partial failure, unseen for six times the function's time, five tries, dead letters."""
    properties = FUNCTIONS[function]
    assert (properties["MemorySize"], properties["Timeout"]) == (memory, seconds)
    (event,) = properties["Events"].values()
    assert event["Properties"]["BatchSize"] == 1
    assert event["Properties"]["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
    assert event["Properties"]["ScalingConfig"]["MaximumConcurrency"]
    assert f"{queue}Arn" in " ".join(strings(event["Properties"]["Queue"]))
    definition = DATA["Resources"][queue]["Properties"]
    assert definition["VisibilityTimeout"] == visibility == 6 * seconds
    assert definition["RedrivePolicy"]["maxReceiveCount"] == 5
    dead = definition["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]
    assert DATA["Resources"][dead]["Properties"]["MessageRetentionPeriod"] == 14 * 86_400
    if queue != "ThumbnailQueue":
        assert definition["MessageRetentionPeriod"] == 14 * 86_400


def test_the_concurrency_of_ingest_is_a_parameter() -> None:
    """A province turns it up."""
    (event,) = FUNCTIONS["Ingest"]["Events"].values()
    assert event["Properties"]["ScalingConfig"]["MaximumConcurrency"] == {"Ref": "IngestConcurrency"}


def test_the_functions_run_on_arm_with_one_python() -> None:
    """And the layers are built for the same."""
    assert TEMPLATE["Globals"]["Function"]["Architectures"] == ["arm64"]
    layers = of_type(TEMPLATE, "AWS::Serverless::LayerVersion").values()
    runtime = TEMPLATE["Globals"]["Function"]["Runtime"]
    assert all(layer["CompatibleRuntimes"] == [runtime] for layer in layers)
    assert all("Runtime" not in properties for properties in FUNCTIONS.values())


def test_every_queue_of_dead_letters_and_every_function_has_an_alarm() -> None:
    """Nothing fails in silence."""
    alarms = of_type(TEMPLATE, "AWS::CloudWatch::Alarm").values()
    watched = {text for alarm in alarms for text in strings(alarm["Dimensions"])}
    for name in of_type(DATA, "AWS::SQS::Queue"):
        if name.endswith("DeadLetters"):
            assert f"${{DataStack}}-{name}Name" in watched, name
    assert set(FUNCTIONS) <= watched
    assert all("AlarmActions" in alarm for alarm in alarms)


# The data


def test_what_holds_data_is_retained_and_backed_up() -> None:
    """Whatever happens to the stack."""
    for name, resource in DATA["Resources"].items():
        if resource["Type"] in {"AWS::S3::Bucket", "AWS::DynamoDB::Table", "AWS::SecretsManager::Secret"}:
            assert (resource["DeletionPolicy"], resource["UpdateReplacePolicy"]) == ("Retain", "Retain"), name
    for table in of_type(DATA, "AWS::DynamoDB::Table").values():
        assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
        assert table["DeletionProtectionEnabled"] is True


def test_the_tables_are_those_that_the_tests_make() -> None:
    """Keys and index as the adapter asks for them."""
    index = DATA["Resources"]["IndexTable"]["Properties"]
    request = create_table_request("x")
    for member in ("AttributeDefinitions", "KeySchema", "BillingMode", "GlobalSecondaryIndexes"):
        assert index[member] == request[member]
    assert DATA["Resources"]["AccountsTable"]["Properties"]["KeySchema"] == request["KeySchema"]


def test_the_buckets_are_private_and_only_the_archive_keeps_versions() -> None:
    """The inbox is a place to pass through."""
    buckets = of_type(DATA, "AWS::S3::Bucket")
    for bucket in buckets.values():
        assert all(bucket["PublicAccessBlockConfiguration"].values())
        assert bucket["BucketEncryption"]
    assert buckets["ArchiveBucket"]["VersioningConfiguration"] == {"Status": "Enabled"}
    assert "VersioningConfiguration" not in buckets["InboxBucket"]


def test_packs_move_to_a_cheaper_class_once_compaction_is_over_and_nothing_else_does() -> None:
    """The class and the day are parameters; old versions, composed answers and unfinished uploads go by themselves."""
    rules = {
        rule["Id"]: rule for rule in DATA["Resources"]["ArchiveBucket"]["Properties"]["LifecycleConfiguration"]["Rules"]
    }
    moving = {name: rule["Prefix"] for name, rule in rules.items() if "Transitions" in rule}
    assert moving == {"packs": "blobs/packs/"}
    (transition,) = rules["packs"]["Transitions"]
    assert transition["TransitionInDays"] == {"Ref": "PackTransitionDays"}
    days = DATA["Parameters"]["PackTransitionDays"]
    quiet = TEMPLATE["Parameters"]["CompactAfterHours"]["Default"] / 24
    assert days["Default"] >= days["MinValue"] > quiet + due.GRACE / 86_400_000 + 1
    assert set(DATA["Parameters"]["PackStorageClass"]["AllowedValues"]) == {
        "INTELLIGENT_TIERING",
        "GLACIER_IR",
        "STANDARD",
    }
    assert "Prefix" not in rules["old-versions"], "all that a versioned bucket keeps of what is gone"
    assert rules["old-versions"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": {"Ref": "NoncurrentDays"}}
    assert rules["exports"]["ExpirationInDays"] * 86_400_000 <= due.GRACE, "an answer may be a list of packs"
    for bucket in ("InboxBucket", "ArchiveBucket"):
        listed = DATA["Resources"][bucket]["Properties"]["LifecycleConfiguration"]["Rules"]
        assert any("AbortIncompleteMultipartUpload" in rule for rule in listed)


def test_buckets_refuse_plain_http_and_cloudfront_reads_blobs_alone() -> None:
    """What can be served lives below blobs/; its reader is one distribution."""
    policies = of_type(DATA, "AWS::S3::BucketPolicy")
    for policy in policies.values():
        (deny,) = [s for s in policy["PolicyDocument"]["Statement"] if s.get("Sid") == "TlsOnly"]
        assert (deny["Effect"], deny["Condition"]) == ("Deny", {"Bool": {"aws:SecureTransport": "false"}})
    allowed = [
        s["Fn::If"][1] for policy in policies.values() for s in policy["PolicyDocument"]["Statement"] if "Fn::If" in s
    ]
    (reader,) = allowed
    assert reader["Action"] == "s3:GetObject"
    assert reader["Resource"] == {"Fn::Sub": "${ArchiveBucket.Arn}/blobs/*"}
    assert reader["Condition"] == {"StringEquals": {"aws:SourceArn": {"Ref": "DistributionArn"}}}


def test_the_inbox_and_the_sidecars_tell_their_queues() -> None:
    """Every object of the inbox; of the archive, the sidecars alone, so that a thumbnail's own event starts nothing."""
    inbox = DATA["Resources"]["InboxBucket"]["Properties"]["NotificationConfiguration"]["QueueConfigurations"]
    archive = DATA["Resources"]["ArchiveBucket"]["Properties"]["NotificationConfiguration"]["QueueConfigurations"]
    assert [(c["Event"], c["Queue"]["Fn::GetAtt"][0]) for c in inbox] == [("s3:ObjectCreated:*", "IngestQueue")]
    (sidecars,) = archive
    rules = {rule["Name"]: rule["Value"] for rule in sidecars["Filter"]["S3Key"]["Rules"]}
    assert rules == {"prefix": "meta/", "suffix": ".json.gz"}


# The front door


def behaviour(path: str) -> dict[str, Any]:
    config = EDGE["Resources"]["Distribution"]["Properties"]["DistributionConfig"]
    (found,) = [b for b in config["CacheBehaviors"] if b["PathPattern"] == path]
    return dict(found)


CACHING_DISABLED = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
ALL_VIEWER_EXCEPT_HOST = "b689b0a8-53d0-40ab-baf2-68738e2966ac"


def test_blobs_need_a_signed_url_and_are_only_read() -> None:
    """Two keys in one group, and CloudFront signs to S3 always: a client's Authorization never gets there."""
    blobs = behaviour("/blobs/*")
    assert sorted(blobs["AllowedMethods"]) == ["GET", "HEAD", "OPTIONS"]
    assert blobs["TrustedKeyGroups"] == [{"Ref": "BlobKeys"}]
    group = EDGE["Resources"]["BlobKeys"]["Properties"]["KeyGroupConfig"]
    assert group["Items"] == [{"Ref": "PublicKeyA"}, {"Ref": "PublicKeyB"}]
    access = EDGE["Resources"]["StorageAccess"]["Properties"]["OriginAccessControlConfig"]
    assert (access["SigningBehavior"], access["SigningProtocol"]) == ("always", "sigv4")
    assert blobs["CachePolicyId"]["Fn::If"][2] == CACHING_DISABLED
    assert EDGE["Parameters"]["CacheBlobs"]["Default"] == "false"


def test_viewers_of_other_origins_may_follow_the_redirect() -> None:
    """They repeat Authorization, which * does not cover, and read what range requests need."""
    cors = EDGE["Resources"]["BlobHeaders"]["Properties"]["ResponseHeadersPolicyConfig"]["CorsConfig"]
    assert "Authorization" in cors["AccessControlAllowHeaders"]["Items"]
    exposed = cors["AccessControlExposeHeaders"]["Items"]
    assert {"Location", "Warning", "ETag", "Content-Range"} <= set(exposed)


@pytest.mark.parametrize("path", ["/dicomweb/*", "/api/*"])
def test_the_api_is_passed_through_uncached_with_the_origin_key(path: str) -> None:
    """All of the viewer's headers but Host; the stage is the origin's path."""
    passed = behaviour(path)
    assert passed["CachePolicyId"] == CACHING_DISABLED
    assert passed["OriginRequestPolicyId"] == ALL_VIEWER_EXCEPT_HOST
    assert set(passed["AllowedMethods"]) >= {"GET", "HEAD", "OPTIONS", "POST", "DELETE"}
    config = EDGE["Resources"]["Distribution"]["Properties"]["DistributionConfig"]
    (api,) = [origin for origin in config["Origins"] if origin["Id"] == passed["TargetOriginId"]]
    assert api["OriginPath"] == f"/{TEMPLATE['Resources']['Api']['Properties']['StageName']}"
    assert {h["HeaderName"]: h["HeaderValue"]["Ref"] for h in api["OriginCustomHeaders"]} == {
        "x-api-key": "OriginKey",
        "X-Forwarded-Host": "DomainName",  # absolute URLs name the front door, not the API behind it
    }


def test_the_front_door_logs_no_query_string() -> None:
    """The distribution's own logging would: only chosen fields are delivered, and WAF samples nothing."""
    assert "Logging" not in EDGE["Resources"]["Distribution"]["Properties"]["DistributionConfig"]
    fields = EDGE["Resources"]["AccessLogDelivery"]["Properties"]["RecordFields"]
    assert not {"cs-uri-query", "cs(Cookie)", "cs(Referer)", "cs(User-Agent)"} & set(fields)
    acl = EDGE["Resources"]["WebAcl"]["Properties"]
    for visibility in [acl["VisibilityConfig"], *(rule["VisibilityConfig"] for rule in acl["Rules"])]:
        assert visibility["SampledRequestsEnabled"] is False


def test_the_firewall_does_not_block_what_is_stored() -> None:
    """Its rule on the size of bodies would stop every STOW: it counts."""
    (common,) = [rule for rule in EDGE["Resources"]["WebAcl"]["Properties"]["Rules"] if rule["Name"] == "common"]
    overrides = common["Statement"]["ManagedRuleGroupStatement"]["RuleActionOverrides"]
    counted = {o["Name"] for o in overrides if o["ActionToUse"] == {"Count": {}}}
    assert "SizeRestrictions_BODY" in counted
