"""Debian's Orthanc with its DICOMweb plugin: the peer of the benchmarks, and a client of ours."""

from __future__ import annotations

import json
import shutil
import time
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from tests.support.processes import QUICK_TCP, Child, free_port

PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


def executable() -> str | None:
    """Path of Orthanc, when it and its plugin are installed."""
    found = shutil.which("Orthanc", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    return found if found and PLUGIN.exists() else None


class Orthanc(Child):
    """``servers``: the DICOMweb servers that it knows as a client (``DicomWeb.Servers``), by name; ``settings``: more
    of its configuration.
    """

    def __init__(
        self, folder: Path, *, servers: Mapping[str, Any] | None = None, settings: Mapping[str, Any] | None = None
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.http_port, self.dicom_port = free_port(), (settings or {}).get("DicomPort") or free_port()
        config = folder / "orthanc.json"
        config.write_text(
            json.dumps(
                {
                    "Name": "peer",
                    "StorageDirectory": str(folder / "storage"),
                    "IndexDirectory": str(folder / "storage"),
                    "HttpPort": self.http_port,
                    "DicomPort": self.dicom_port,
                    "DicomAet": "ORTHANC",
                    "RemoteAccessAllowed": False,
                    "AuthenticationEnabled": False,
                    "DefaultEncoding": "Utf8",
                    "DicomCheckCalledAet": False,
                    "Plugins": [str(PLUGIN)],
                    "DicomWeb": {"Enable": True, "Root": "/dicom-web/", "Servers": dict(servers or {})},
                    **(settings or {}),
                }
            )
        )
        program = executable()
        assert program, "Orthanc is not installed: apt-get install orthanc orthanc-dicomweb"
        super().__init__([program, config], log=folder / "orthanc.log", env=QUICK_TCP)

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.http_port}/dicom-web"

    def __enter__(self) -> Self:
        self.spawn()
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.http_port}/system", timeout=2).close()
                return self
            except OSError:
                time.sleep(0.1)
        self.kill()
        raise AssertionError("Orthanc did not start:\n" + self.log.read_text()[-2000:])
