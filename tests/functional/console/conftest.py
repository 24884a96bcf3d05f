"""The console on a cloud of moto, with two hospitals."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.support.functions import Reply, call, load_function, proxy_event
from tests.support.moto_cloud import MotoCloud, moto_cloud

from maypacs.access.accounts import add_archive, add_user
from maypacs.access.keys import add_key
from maypacs.access.principals import Role

PASSWORD = "mật khẩu thử nghiệm"
Ask = Callable[..., Reply]


@contextmanager
def two_hospitals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MotoCloud]:
    with moto_cloud(tmp_path, monkeypatch) as made:
        add_archive(made.runtime.accounts, "hosp1", name="Bệnh viện Một")
        add_archive(made.runtime.accounts, "hosp10", name="Bệnh viện Mười")
        yield made


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MotoCloud]:
    with two_hospitals(tmp_path, monkeypatch) as made:
        yield made


@pytest.fixture
def console(cloud: MotoCloud) -> ModuleType:
    return load_function("console")


@pytest.fixture
def ask(console: ModuleType) -> Ask:
    return asker(console)


def asker(console: ModuleType) -> Ask:
    """``ask(method, path, document, key=…)``: one request, as JSON."""

    def ask(method: str, path: str, document: Any = None, *, key: str | None = None, **more: Any) -> Reply:
        headers = dict(more.pop("headers", {}))
        if key is not None:
            headers["Authorization"] = f"Bearer {key}"
        body = None if document is None else json.dumps(document).encode()
        return call(console, proxy_event(method, path, headers=headers, body=body, **more))

    return ask


@pytest.fixture
def admin(cloud: MotoCloud) -> str:
    return add_key(cloud.runtime.accounts, "hosp1", Role.ADMIN, name="admin").key


@pytest.fixture
def log_in(cloud: MotoCloud, ask: Ask) -> Callable[..., dict[str, Any]]:
    """A new user of a role, logged in: the answer to the login."""

    def log_in(user: str, role: Role, archive: str | None = "hosp1") -> dict[str, Any]:
        add_user(cloud.runtime.accounts, user, archive=archive, role=role, password=PASSWORD)
        answer: dict[str, Any] = ask("POST", "/api/login", {"user": user, "password": PASSWORD}).json()
        return answer

    return log_in
