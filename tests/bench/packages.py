"""Debian's Orthanc and dcmtk, installed for `make bench` when they are missing and this may be done."""

from __future__ import annotations

import os
import shutil
import subprocess

from tests.support import orthanc

_PACKAGES = ("orthanc", "orthanc-dicomweb", "dcmtk")


def install() -> None:
    """As root with apt-get; otherwise says which rows stay empty. Never fails: our own rows are measured anyway."""
    if not _missing():
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        # RUNLEVEL: the package would start an Orthanc of its own, on the ports that people have theirs on.
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
        for words in (["update"], ["install", "--yes", "--no-install-recommends", *_PACKAGES]):
            subprocess.run(["apt-get", "--quiet", *words], env=environment, check=False)
    for what, rows in _missing().items():
        print(f"{what} is not installed (apt-get install {' '.join(_PACKAGES)}): {rows} stay empty")


def _missing() -> dict[str, str]:
    found = {}
    if not shutil.which("storescu") or not shutil.which("dcmcjpls"):
        found["dcmtk"] = "the rows of C-STORE and JPEG-LS"
    if not orthanc.executable():
        found["Orthanc with its DICOMweb plugin"] = "Orthanc's column and the ratios"
    return found
