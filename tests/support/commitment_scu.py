"""A modality that wants storage commitment: pynetdicom asks, and listens for the report on both ways it may come."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from pydicom.dataset import Dataset
from pydicom.uid import UID, generate_uid
from pynetdicom import AE, evt
from tests.support.ports import ReservedPort
from tests.support.stub_edge import AET

StorageCommitmentPushModel = UID("1.2.840.10008.1.20.1")
INSTANCE = "1.2.840.10008.1.20.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"


class CommitmentSCU:
    """``reports``: by transaction, (event type, committed UIDs, {failed UID: reason}, "same" or "new" association)."""

    def __init__(self, edge_port: int, title: str = "THU-CT1", port: int | None = None) -> None:
        """``port``: 0 when another one listens, None for one of its own, kept for it until the end of the block."""
        self._reserved = ReservedPort() if port is None else None
        self.edge_port, self.title = edge_port, title
        self.port = port if self._reserved is None else self._reserved.number
        self.reports: dict[str, tuple[int, list[str], dict[str, int], str]] = {}
        self.arrived = threading.Condition()
        self.answer = 0x0000
        """The status to give to reports."""
        self.ae = AE(ae_title=title)
        self.ae.add_supported_context(StorageCommitmentPushModel, scu_role=False, scp_role=True)
        self._server: Any = None
        self._associations: list[Any] = []

    def listen(self, tls: ssl.SSLContext | None = None) -> None:
        handlers: list[Any] = [(evt.EVT_N_EVENT_REPORT, self._handle, ["new"])]
        self._server = self.ae.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=handlers, ssl_context=tls
        )

    def close(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        for association in self._associations:
            association.release()
        self.close()
        if self._reserved is not None:
            self._reserved.close()

    def _handle(self, event: Any, way: str) -> tuple[int, None]:
        info = event.event_information
        good = [str(item.ReferencedSOPInstanceUID) for item in info.get("ReferencedSOPSequence") or ()]
        bad = {str(item.ReferencedSOPInstanceUID): item.FailureReason for item in info.get("FailedSOPSequence") or ()}
        with self.arrived:
            if self.answer == 0:
                self.reports[str(info.TransactionUID)] = (event.request.EventTypeID, good, bad, way)
            self.arrived.notify_all()
        return self.answer, None

    def ask(
        self,
        wanted: Iterable[tuple[str, str]],
        *,
        stay: bool = False,
        uid: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> tuple[str, int]:
        """Ask for (SOP class, SOP instance) pairs; transaction UID and status. ``stay``: keep the association."""
        uid = uid or str(generate_uid(prefix="2.25."))
        ae = AE(ae_title=self.title)
        ae.add_requested_context(StorageCommitmentPushModel)
        handlers: list[Any] = [(evt.EVT_N_EVENT_REPORT, self._handle, ["same"])]
        association = ae.associate(
            "127.0.0.1",
            self.edge_port,
            ae_title=AET,
            evt_handlers=handlers,
            tls_args=(tls, "127.0.0.1") if tls else None,
        )
        assert association.is_established
        information = Dataset()
        information.TransactionUID = uid
        information.ReferencedSOPSequence = []
        for sop_class, sop_instance in wanted:
            item = Dataset()
            item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = sop_class, sop_instance
            information.ReferencedSOPSequence.append(item)
        status, _ = association.send_n_action(information, 1, StorageCommitmentPushModel, INSTANCE)
        if stay:
            self._associations.append(association)
        else:
            association.release()
        return uid, int(status.Status)

    def wait(self, uid: str, seconds: float = 30) -> tuple[int, list[str], dict[str, int], str]:
        with self.arrived:
            assert self.arrived.wait_for(lambda: uid in self.reports, seconds), f"no report within {seconds} s"
            return self.reports[uid]

    @property
    def device(self) -> str:
        """Its entry in edge.toml."""
        return f'\n[[device]]\nae_title = "{self.title}"\nhost = "127.0.0.1"\nport = {self.port}\n'
