"""OHIF's published build on disk, trimmed: fetched once by npm (version and integrity in ohif/package-lock.json).

Kept under build/, which git ignores. What is left out: segmentation by neural networks (142 MB), slide microscopy,
source maps, and the script that removes every service worker of its origin.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

from tests.conftest import ROOT

LOCK = Path(__file__).parent / "ohif" / "package-lock.json"
CACHE = ROOT / "build" / "ohif"
_UNUSED = ("ort", "dicom-microscopy-viewer")
_UNUSED_FILES = re.compile(r"\.map\Z|\Agoogle\.js\Z|\Ainit-service-worker\.js\Z")


def ohif_site() -> Path:
    """The folder to serve. An AssertionError says what is missing when it cannot be made."""
    version = json.loads(LOCK.read_text())["packages"]["node_modules/@ohif/app"]["version"]
    site = CACHE / f"site-{version}"
    if not (site / "index.html").exists():
        dist = _fetched() / "dist"
        draft = CACHE / f"draft-{version}"
        shutil.rmtree(draft, ignore_errors=True)
        shutil.copytree(dist, draft, ignore=_left_out)
        index = draft / "index.html"
        index.write_text(re.sub(r'<script[^>]*src="/init-service-worker\.js"[^>]*></script>', "", index.read_text()))
        draft.rename(site)
        shutil.rmtree(CACHE / "node_modules")
    return site


def _fetched() -> Path:
    npm = shutil.which("npm")
    assert npm, "npm is not installed: it comes with Node.js 20 or newer"
    CACHE.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(LOCK.with_name(name), CACHE / name)
    done = subprocess.run(
        [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
        cwd=CACHE,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, f"npm could not fetch OHIF:\n{done.stderr[-2000:]}"
    return CACHE / "node_modules" / "@ohif" / "app"


def _left_out(_: str, names: list[str]) -> set[str]:
    return {name for name in names if name in _UNUSED or _UNUSED_FILES.search(name)}


def app_config(dicomweb: str) -> str:
    """OHIF's configuration for one archive at an absolute URL, on another origin than its own."""
    source = {
        "friendlyName": "PACS",
        "name": "pacs",
        "qidoRoot": dicomweb,
        "wadoRoot": dicomweb,
        "wadoUriRoot": dicomweb,
        "qidoSupportsIncludeField": True,
        "imageRendering": "wadors",
        "thumbnailRendering": "wadors",
        "enableStudyLazyLoad": True,
        "supportsFuzzyMatching": False,
        "supportsWildcard": True,
        "dicomUploadEnabled": False,
        "omitQuotationForMultipartRequest": True,
        "bulkDataURI": {"enabled": True, "relativeResolution": "studies"},
    }
    config = {
        "routerBasename": "/",
        "extensions": [],
        "modes": [],
        "customizationService": [{"ohif.tours": {"$set": []}}],
        "showStudyList": True,
        "maxNumberOfWebWorkers": 2,
        "investigationalUseDialog": {"option": "never"},
        "defaultDataSourceName": "pacs",
        "dataSources": [
            {
                "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
                "sourceName": "pacs",
                "configuration": source,
            }
        ],
    }
    return "window.config = " + json.dumps(config) + ";\n"
