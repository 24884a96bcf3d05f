"""What goes into the layers, and for which Python."""

from __future__ import annotations

import importlib.util
import sys
from types import ModuleType

import pytest
from tests.support.deployer import ROOT, read_template


@pytest.fixture(scope="module")
def layers() -> ModuleType:
    spec = importlib.util.spec_from_file_location("deploy_layers", ROOT / "infra" / "deploy" / "layers.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


LOCK = """\
numpy==2.4.6 ; python_full_version < '3.12' \\
    --hash=sha256:aa
numpy==2.5.5 ; python_full_version >= '3.12' \\
    --hash=sha256:bb \\
    --hash=sha256:cc
orjson==3.13.0 \\
    --hash=sha256:dd
pywin32==1 ; sys_platform == 'win32' \\
    --hash=sha256:ee
"""


@pytest.mark.parametrize(("python", "numpy"), [("3.11", "numpy==2.4.6"), ("3.13", "numpy==2.5.5")])
def test_a_lock_is_read_for_the_functions_python_not_for_ours(layers: ModuleType, python: str, numpy: str) -> None:
    """Markers are judged for Lambda, whatever interpreter builds the layer; hashes come along."""
    pins = list(layers.pins(LOCK, python))
    assert [pin.name for pin in pins] == ["numpy", "orjson"]
    assert pins[0].text.startswith(f"{numpy} \\")
    assert pins[1].text == "orjson==3.13.0 \\\n    --hash=sha256:dd"


def test_every_pin_of_the_locks_is_in_one_layer_with_its_hashes(layers: ModuleType) -> None:
    """The codecs are where they are expected, and nothing is loose."""
    pins = layers.all_pins()
    names = [pin.name for pin in pins]
    assert len(names) == len(set(names))
    assert set(names) >= layers.CODECS
    assert {"boto3", "pydicom", "chalice", "aws-lambda-powertools"} <= set(names) - layers.CODECS
    assert all("--hash=sha256:" in pin.text for pin in pins)


def test_the_layers_are_built_for_what_the_template_runs(layers: ModuleType) -> None:
    """The same Python, the same processor, the same folders."""
    template = read_template(ROOT / "template.yaml")
    assert template["Globals"]["Function"]["Runtime"] == f"python{layers.PYTHON}"
    assert all(platform.endswith("_aarch64") for platform in layers.PLATFORMS)
    for name, folder in (("LibraryLayer", "library"), ("CodecsLayer", "codecs")):
        uri = template["Resources"][name]["Properties"]["ContentUri"]
        assert ROOT / uri == layers.OUT / folder
