"""Errors as problem details."""

from __future__ import annotations

import inspect

import pytest

from maypacs import errors
from maypacs.http.problems import problem

TREE = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, errors.MayPACSError)]


@pytest.mark.parametrize("kind", TREE, ids=lambda c: c.__name__)
def test_every_error_has_a_status_and_a_title(kind: type[errors.MayPACSError]) -> None:
    """Only what is a fault of our own set-up is a 500."""
    status, headers, document = problem(kind("text"))
    assert (status == 500) == (kind in {errors.MayPACSError, errors.SettingsError})
    assert document["status"] == status
    assert headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize(
    "error", [ValueError("Nguyễn^Văn Thử"), errors.StorageError("Nguyễn^Văn Thử"), errors.SettingsError("s3cr3t")]
)
def test_a_fault_says_a_support_id_and_none_of_its_text(error: Exception) -> None:
    """What a library puts into an exception may hold anything."""
    _, _, document = problem(error)
    assert str(error) not in str(document)
    assert len(document["support_id"]) == 12


def test_two_faults_have_two_support_ids() -> None:
    """So that a person finds the one."""
    assert problem(ValueError())[2]["support_id"] != problem(ValueError())[2]["support_id"]


def test_our_own_errors_say_what_to_do() -> None:
    """The text of ours holds no patient data and is shown."""
    assert problem(errors.PageError("limit must be 1 to 1000"))[2]["detail"] == "limit must be 1 to 1000"


def test_busy_and_throttled_say_when_to_come_back() -> None:
    """Retry-After, in seconds."""
    assert problem(errors.TooManyRequestsError("locked", retry_after=9))[1]["Retry-After"] == "9"
    assert problem(errors.BusyError("later"))[1]["Retry-After"] == "5"
