"""Errors to HTTP: the one table that maps `maypacs.errors` to status codes, as problem details (RFC 9457).

An error of ours says its own text, which never holds a patient's data. Anything else, and an engine's fault, says
nothing but a support id: the same id is logged with the exception, so that a person can bring the two together.
"""

from __future__ import annotations

import uuid
from typing import Any

from maypacs import errors

PROBLEM_JSON = "application/problem+json"

#: Most specific first: the first class that fits decides. (class, status, title, whether the error's own text is shown)
_TABLE: tuple[tuple[type[errors.MayPACSError], int, str, bool], ...] = (
    (errors.BadRequestError, 400, "Bad request", True),
    (errors.UnauthenticatedError, 401, "Authentication needed", True),
    (errors.ForbiddenError, 403, "Not allowed", True),
    (errors.NotFoundError, 404, "Not found", True),
    (errors.NotAcceptableError, 406, "Not acceptable", True),
    (errors.GoneError, 410, "Deleted", True),
    (errors.ConflictError, 409, "Conflict", True),
    (errors.TooLargeError, 413, "Too large", True),
    (errors.UnsupportedMediaTypeError, 415, "Unsupported media type", True),
    (errors.TooManyRequestsError, 429, "Too many requests", True),
    (errors.NotSupportedError, 501, "Not supported yet", True),
    (errors.BusyError, 503, "Try again", True),
    # Stored pixels that no decoder here reads: this representation cannot be made, others of the instance can.
    (errors.PixelError, 406, "Pixel data cannot be shown", True),
    (errors.DicomError, 400, "Not readable as DICOM", True),
    (errors.PackError, 400, "Not readable as a pack", True),
    # The engine's fault, and usually over in a moment: the text may name keys, so it is not shown.
    (errors.TableError, 503, "Try again", False),
    (errors.StorageError, 503, "Try again", False),
)

#: Every status that `problem` can give, and its title (for the methods and routes that answer without an exception).
TITLES: dict[int, str] = {
    **{status: title for _, status, title, _ in reversed(_TABLE)},
    405: "Method not allowed",
    500: "Fault in the server",
}


def problem(error: BaseException) -> tuple[int, dict[str, str], dict[str, Any]]:
    """Status, headers and the JSON document that tell a client of an error.

    The document has `type`, `title`, `status`, and either `detail` or `support_id` (a fault of ours or of an engine).
    """
    headers = {"Content-Type": PROBLEM_JSON, "Cache-Control": "no-store"}
    for kind, status, title, shown in _TABLE:
        if isinstance(error, kind):
            document: dict[str, Any] = {"type": "about:blank", "title": title, "status": status}
            if shown and str(error):
                document["detail"] = str(error)
            if not shown:
                document["support_id"] = _support_id()
            if status == 401:
                headers["WWW-Authenticate"] = 'Bearer realm="maypacs"'
            if status in {429, 503}:
                headers["Retry-After"] = str(getattr(error, "retry_after", 2))
            return status, headers, document
    document = {"type": "about:blank", "title": TITLES[500], "status": 500, "support_id": _support_id()}
    return 500, headers, document


def plain_problem(status: int, detail: str) -> tuple[int, dict[str, str], dict[str, Any]]:
    """A problem that no exception stands for, such as 405."""
    headers = {"Content-Type": PROBLEM_JSON, "Cache-Control": "no-store"}
    return status, headers, {"type": "about:blank", "title": TITLES[status], "status": status, "detail": detail}


def _support_id() -> str:
    return uuid.uuid4().hex[:12]
