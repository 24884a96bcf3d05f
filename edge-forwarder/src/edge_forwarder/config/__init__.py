"""One TOML file; frozen settings, a module a section. Every key is in edge.toml with its unit and default; a test
compares the two.
"""

from edge_forwarder.config.checks import MIB
from edge_forwarder.config.cloud import CloudConfig
from edge_forwarder.config.commitment import CommitmentConfig
from edge_forwarder.config.compress import CompressConfig
from edge_forwarder.config.configuration import SECTIONS, Config, load, parse
from edge_forwarder.config.credentials import Credentials, load_credentials, save_credentials, write_private
from edge_forwarder.config.device import DeviceConfig
from edge_forwarder.config.dimse import DimseConfig
from edge_forwarder.config.edge import EdgeConfig
from edge_forwarder.config.health import HealthConfig
from edge_forwarder.config.packing import PackingConfig
from edge_forwarder.config.retrieve import RetrieveConfig
from edge_forwarder.config.spool import SpoolConfig
from edge_forwarder.config.stow import StowConfig
from edge_forwarder.config.tls import TlsConfig
from edge_forwarder.config.upload import UploadConfig

__all__ = [
    "MIB",
    "SECTIONS",
    "CloudConfig",
    "CommitmentConfig",
    "CompressConfig",
    "Config",
    "Credentials",
    "DeviceConfig",
    "DimseConfig",
    "EdgeConfig",
    "HealthConfig",
    "PackingConfig",
    "RetrieveConfig",
    "SpoolConfig",
    "StowConfig",
    "TlsConfig",
    "UploadConfig",
    "load",
    "load_credentials",
    "parse",
    "save_credentials",
    "write_private",
]
