"""Both stacks on ministack, with IAM enforced, once for the module."""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from email.message import Message
from typing import Any, TypeVar

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from localstack_client.session import Session
from tests.support.deployer import ROOT, deploy, package, read_template, without_tls_only
from tests.support.emulator import ministack

from maypacs.access.accounts import add_archive
from maypacs.access.keys import add_key
from maypacs.access.principals import Role
from maypacs.access.secrets import new_secrets
from maypacs.index.dynamodb_table import DynamoDBTable

ORIGIN_KEY = "an-origin-key-for-tests-alone"
ORIGIN = "https://pacs.example.org"
_T = TypeVar("_T")


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Message
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: Any) -> None:
        return None


_opener = urllib.request.build_opener(_NoRedirect)


def send(method: str, url: str, *, headers: Mapping[str, str], body: bytes | None = None) -> Reply:
    request = urllib.request.Request(url, method=method, data=body, headers=dict(headers))
    try:
        with _opener.open(request, timeout=90) as answer:
            return Reply(answer.status, answer.headers, answer.read())
    except urllib.error.HTTPError as error:
        with error:
            return Reply(error.code, error.headers, error.read())


@dataclass(frozen=True)
class Deployed:
    session: Session
    data: Mapping[str, str]  #: outputs of the data stack
    functions: Mapping[str, str]  #: physical names by logical id
    base: str  #: the API's URL on the emulator
    key: str  #: an admin's API key of the archive hosp1
    blob_public_key: rsa.RSAPublicKey

    def ask(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        document: Any = None,
        key: str | None = None,
    ) -> Reply:
        """One request through API Gateway, as CloudFront would send it."""
        sent = {"x-api-key": ORIGIN_KEY, "Authorization": f"Bearer {key or self.key}", "Accept": "*/*"}
        if document is not None:
            body, sent["Content-Type"] = json.dumps(document).encode(), "application/json"
        return send(method, self.base + path, headers={**sent, **(headers or {})}, body=body)


def eventually(what: Callable[[], _T | None], *, seconds: float = 60) -> _T:
    """What is asked for until it is there: the events of the emulator have their own pace."""
    deadline = time.monotonic() + seconds
    while True:
        found = what()
        if found:
            return found
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.2)


@pytest.fixture(scope="session")
def deployed() -> Iterator[Deployed]:
    sys.path.insert(0, str(ROOT / "infra" / "deploy"))
    try:
        import layers
    finally:
        sys.path.pop(0)
    layers.build(from_venv=True)
    blob_key = rsa.generate_private_key(65537, 2048)
    private_pem = blob_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    signer = {
        "cloudfront_key_id": "KTEST",
        "cloudfront_private_key": private_pem,
        "cloudfront_origin": ORIGIN,
    }
    with ministack(enforce_iam=True) as session:
        session.client("s3").create_bucket(
            Bucket="deploy", CreateBucketConfiguration={"LocationConstraint": session.region_name}
        )
        data_template = without_tls_only(read_template(ROOT / "infra" / "data.yaml"))
        data = deploy(session, "maypacs-data", data_template, {}, bucket="deploy")
        session.client("secretsmanager").put_secret_value(
            SecretId=data["SecretsArn"], SecretString=json.dumps({**new_secrets(), **signer})
        )
        template = package(session, read_template(ROOT / "template.yaml"), "deploy")
        outputs = deploy(session, "maypacs", template, {"OriginKey": ORIGIN_KEY}, bucket="deploy")
        resources = session.client("cloudformation").describe_stack_resources(StackName="maypacs")["StackResources"]
        accounts = DynamoDBTable(data["AccountsTable"], client=session.client("dynamodb"))
        add_archive(accounts, "hosp1", name="Bệnh viện Một")
        add_archive(accounts, "hosp10")
        yield Deployed(
            session=session,
            data=data,
            functions={
                r["LogicalResourceId"]: r["PhysicalResourceId"]
                for r in resources
                if r["ResourceType"] == "AWS::Lambda::Function"
            },
            base=f"{os.environ['AWS_ENDPOINT_URL']}/restapis/{outputs['ApiId']}/prod/_user_request_",
            key=add_key(accounts, "hosp1", Role.ADMIN).key,
            blob_public_key=blob_key.public_key(),
        )
