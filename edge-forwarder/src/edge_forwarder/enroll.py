"""Enrolment: trade a one-time code of the console for a key, and write the first configuration."""

from __future__ import annotations

import re
import socket
import time
from dataclasses import replace
from importlib import resources
from pathlib import Path

from edge_forwarder import config as configuration
from edge_forwarder.cloud.client import Cloud, Enrolment
from edge_forwarder.config import CloudConfig, Config
from edge_forwarder.errors import ConfigError
from edge_forwarder.spool.tenant import check_tenant


def enroll(
    url: str, code: str, path: Path, *, ae_title: str | None = None, port: int | None = None, name: str | None = None
) -> tuple[Config, Enrolment]:
    """Enrol, then write credentials (0600) and, if there is none, the configuration file. Raises EdgeError.

    An existing configuration is kept: enrolling again replaces the key, and a service that runs goes on with the new
    one. The code is spent last, when everything else is
    known to work.
    """
    exists = path.is_file()
    if exists:
        config = configuration.load(path)
        if config.cloud.url.rstrip("/") != url.rstrip("/"):
            raise ConfigError(f"{path} names another cloud: change [cloud] url there first")
    else:
        text = first_config(url, ae_title, port)
        path.parent.mkdir(parents=True, exist_ok=True)
        configuration.write_private(path, text)
        try:
            config = configuration.load(path)
        except ConfigError:
            path.unlink()
            raise
    cloud = Cloud(CloudConfig(url=url, ca_file=config.cloud.ca_file), None)
    try:
        enrolment = cloud.enrol(code, name or socket.gethostname())
    except BaseException:
        if not exists:
            path.unlink()
        raise
    finally:
        cloud.close()
    # The code is spent, and the edge of that archive made, before anybody can know that it is another one.
    check_tenant(config.spool_folder, enrolment.credentials.archive)
    configuration.save_credentials(config.credentials_file, replace(enrolment.credentials, since=time.time()))
    return config, enrolment


def first_config(url: str, ae_title: str | None, port: int | None) -> str:
    """The commented example, with this edge's values in it."""
    text = resources.files("edge_forwarder").joinpath("edge.toml").read_text(encoding="utf-8")
    values = {"url": f'"{_toml(url)}"'}
    if ae_title is not None:
        values["ae_title"] = f'"{_toml(ae_title)}"'
    if port is not None:
        values["port"] = str(port)
    for key, value in values.items():
        head, old, tail = text.partition(next(re.finditer(rf"^{key} = .*$", text, flags=re.MULTILINE)).group())
        assert old
        text = f"{head}{key} = {value}{tail}"
    return text


def _toml(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
