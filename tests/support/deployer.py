"""Puts the stacks on an emulator as `aws cloudformation package` and `deploy` would: zips, uploads, creates, waits."""

from __future__ import annotations

import copy
import io
import json
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from localstack_client.session import Session

ROOT = Path(__file__).resolve().parents[2]
_LOCAL = {"AWS::Serverless::Function": "CodeUri", "AWS::Serverless::LayerVersion": "ContentUri"}
WAIT_SECONDS = 120


class _Loader(yaml.SafeLoader):
    """YAML with CloudFormation's short forms, read into the long ones."""


def _short_form(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}"
    value: Any
    if isinstance(node, yaml.ScalarNode):
        value = loader.construct_scalar(node)
        if suffix == "GetAtt":
            value = value.split(".", 1)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        assert isinstance(node, yaml.MappingNode)
        value = loader.construct_mapping(node, deep=True)
    return {name: value}


_Loader.add_multi_constructor("!", _short_form)


def read_template(path: Path) -> dict[str, Any]:
    """A template with every intrinsic function in its long form."""
    template: dict[str, Any] = yaml.load(path.read_text(encoding="utf-8"), Loader=_Loader)
    return template


def with_numbers(node: Any, values: Mapping[str, int], *, as_text: bool = False) -> Any:
    """The template with references to Number parameters replaced by numbers: the emulator keeps them as text. In the
    environment of a function they are text."""
    if isinstance(node, dict):
        if set(node) == {"Ref"} and node["Ref"] in values:
            return str(values[node["Ref"]]) if as_text else values[node["Ref"]]
        return {
            name: with_numbers(value, values, as_text=as_text or name == "Variables") for name, value in node.items()
        }
    if isinstance(node, list):
        return [with_numbers(value, values, as_text=as_text) for value in node]
    return node


def without_tls_only(template: Mapping[str, Any]) -> dict[str, Any]:
    """The template without the statements that refuse plain HTTP: the emulator obeys them, and speaks nothing else."""
    plain = copy.deepcopy(dict(template))
    for resource in plain["Resources"].values():
        if resource["Type"] == "AWS::S3::BucketPolicy":
            document = resource["Properties"]["PolicyDocument"]
            document["Statement"] = [s for s in document["Statement"] if s.get("Sid") != "TlsOnly"]
    return plain


def package(session: Session, template: Mapping[str, Any], bucket: str) -> dict[str, Any]:
    """The template with its local folders zipped and uploaded."""
    s3 = session.client("s3")
    numbers = {n: p["Default"] for n, p in template["Parameters"].items() if p["Type"] == "Number"}
    packaged: dict[str, Any] = with_numbers(copy.deepcopy(dict(template)), numbers)
    uploaded: dict[str, str] = {}
    for resource in packaged["Resources"].values():
        if "BinaryMediaTypes" in resource.get("Properties", {}):
            # AWS spells a slash ~1 here; the emulator takes the text as it stands.
            types = resource["Properties"]["BinaryMediaTypes"]
            resource["Properties"]["BinaryMediaTypes"] = [t.replace("~1", "/") for t in types]
        member = _LOCAL.get(resource["Type"])
        if member is None:
            continue
        folder = resource["Properties"][member]
        if folder not in uploaded:
            uploaded[folder] = f"code/{folder.replace('/', '-')}.zip"
            s3.put_object(Bucket=bucket, Key=uploaded[folder], Body=_zip(ROOT / folder))
        resource["Properties"][member] = f"s3://{bucket}/{uploaded[folder]}"
    return packaged


def _zip(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                archive.write(file, file.relative_to(folder).as_posix())
    return buffer.getvalue()


def deploy(
    session: Session, stack: str, template: Mapping[str, Any], parameters: Mapping[str, str], *, bucket: str
) -> dict[str, str]:
    """Creates the stack and waits for it; returns its outputs. Raises RuntimeError with the reasons of a failure."""
    cloudformation = session.client("cloudformation")
    text = json.dumps(template)
    session.client("s3").put_object(Bucket=bucket, Key=f"templates/{stack}.json", Body=text.encode())
    cloudformation.create_stack(
        StackName=stack,
        TemplateBody=text,
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
        Capabilities=["CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"],
    )
    deadline = time.monotonic() + WAIT_SECONDS
    while True:
        (found,) = cloudformation.describe_stacks(StackName=stack)["Stacks"]
        status = found["StackStatus"]
        if status == "CREATE_COMPLETE":
            return {o["OutputKey"]: o["OutputValue"] for o in found.get("Outputs", [])}
        if not status.endswith("IN_PROGRESS") or time.monotonic() > deadline:
            events = cloudformation.describe_stack_events(StackName=stack)["StackEvents"]
            reasons = [
                f"{e['LogicalResourceId']}: {e.get('ResourceStatusReason', '')}"
                for e in events
                if "FAILED" in e["ResourceStatus"]
            ]
            raise RuntimeError(f"{stack}: {status}: {'; '.join(reasons) or found.get('StackStatusReason')}")
        time.sleep(0.2)
