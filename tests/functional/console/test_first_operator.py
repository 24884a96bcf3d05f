"""The first operator of an installation on AWS."""

from __future__ import annotations

import pytest
from tests.functional.console.conftest import Ask
from tests.support.moto_cloud import MotoCloud

from maypacs.access.__main__ import main


def test_the_first_operator_is_made_by_hand_and_does_the_rest_through_the_console(
    ask: Ask, cloud: MotoCloud, capsys: pytest.CaptureFixture[str]
) -> None:
    """Adding the operator again changes nothing; a reset gives a new password and ends the old one."""
    assert main(["add-operator", "boss", "--table", "accounts"]) == 0
    password = capsys.readouterr().out.removeprefix("password: ").strip()
    token = ask("POST", "/api/login", {"user": "boss", "password": password}).json()["access_token"]
    assert ask("POST", "/api/archives", {"archive": "hosp2", "name": ""}, key=token).status == 201
    made = ask("POST", "/api/archives/hosp2/keys", {"name": "first", "role": "admin"}, key=token)
    assert made.status == 201
    assert main(["add-operator", "boss", "--table", "accounts"]) == 0
    assert ask("POST", "/api/login", {"user": "boss", "password": password}).status == 200
    capsys.readouterr()
    assert main(["reset-password", "boss", "--table", "accounts"]) == 0
    new = capsys.readouterr().out.removeprefix("password: ").strip()
    assert ask("POST", "/api/login", {"user": "boss", "password": password}).status == 401
    assert ask("POST", "/api/login", {"user": "boss", "password": new}).status == 200
    assert main(["reset-password", "nobody", "--table", "accounts"]) == 1
