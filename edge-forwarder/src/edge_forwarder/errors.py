"""The error tree of the edge. No message carries a patient's data.

EdgeError
├── ConfigError             the configuration or credentials file is missing something; names it
├── WireError               a peer broke the Upper Layer protocol; carries the abort reason (PS3.8 table 9-26)
│   ├── PeerGoneError       the connection ended or timed out
│   │   ├── SilentError     ... timed out: nothing came, or was taken, for the time limit
│   │   └── AbortedError    ... or was aborted by the peer
│   ├── TooLongError        a data set longer than its service takes; it was read to its end
│   ├── NotAssociatedError  a peer that we called would not associate
│   │   └── NotOfferedError ... or does not offer the service that it was called for
│   └── DeclinedError       a peer that we asked will not answer; has its status
├── SpoolError              the spool cannot take an instance
│   ├── SpoolFullError      ... because the disk, or the allowance, would be full: 0xA700
│   └── TooLargeError       ... because it is larger than one may be: 0xC000
├── SourceError             a file that is to be sent cannot be read
├── StowError               a STOW-RS request that cannot be taken; has the HTTP status
│   └── BrokenBodyError     its body is no multipart message, or ends too early: 400
├── QueryError              an identifier that is not one of its information model: 0xA900
├── TooManyError            a query or retrieve that means more than one may
├── PausedError             uploads are paused, or the edge stops: no failure of anybody's
├── UnreadableError         no UIDs can be read from a file: the cloud will quarantine it
└── CloudError              the cloud did not do what was asked
    ├── CloudAwayError      it could not be reached, or what answered is not it
    ├── CloudBusyError      it asks for patience (429, 503); has retry_after in seconds
    ├── UnauthorizedError   our key is not accepted (401, 403 on the API)
    ├── GrantExpiredError   the granted URL is not accepted any more (403 on the upload)
    └── RefusedError        it answered with another error; has the HTTP status
        └── NotAsGrantedError   ... for what arrived are not the bytes that were granted
"""

from __future__ import annotations


class EdgeError(Exception):
    """Base of every error the edge raises on purpose."""


class ConfigError(EdgeError): ...


class WireError(EdgeError):
    """A protocol violation; ``reason`` is the provider reason of the A-ABORT to send (PS3.8 9.3.8)."""

    def __init__(self, message: str, reason: int = 0) -> None:
        super().__init__(message)
        self.reason = reason


class PeerGoneError(WireError): ...


class SilentError(PeerGoneError): ...


class AbortedError(PeerGoneError): ...


class TooLongError(WireError): ...


class NotAssociatedError(WireError):
    """``rejection``: source and reason of an A-ASSOCIATE-RJ (PS3.8 table 9-21)."""

    def __init__(self, message: str, rejection: tuple[int, int] | None = None) -> None:
        super().__init__(message)
        self.rejection = rejection


class NotOfferedError(NotAssociatedError): ...


class DeclinedError(WireError):
    """``status`` is the peer's (PS3.7 C)."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(f"{message} (status {status:04X})")
        self.status = status


class SpoolError(EdgeError): ...


class SpoolFullError(SpoolError): ...


class TooLargeError(SpoolError): ...


class SourceError(EdgeError): ...


class StowError(EdgeError):
    def __init__(self, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.status = status


class BrokenBodyError(StowError): ...


class QueryError(EdgeError): ...


class TooManyError(EdgeError): ...


class PausedError(EdgeError): ...


class UnreadableError(EdgeError): ...


class CloudError(EdgeError): ...


class CloudAwayError(CloudError): ...


class CloudBusyError(CloudError):
    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class UnauthorizedError(CloudError): ...


class GrantExpiredError(CloudError): ...


class RefusedError(CloudError):
    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class NotAsGrantedError(RefusedError):
    """What arrived are not the bytes that were granted: spoilt on the way, or here."""
