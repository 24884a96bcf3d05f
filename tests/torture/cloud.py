"""What the cloud has, seen from outside: by DICOMweb, the console, and the objects themselves."""

from __future__ import annotations

import email
import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import requests
from tests.support.processes import Node
from tests.torture.material import digest_of

from maypacs.http.multipart import read_multipart
from maypacs.pack.grammar import scan_pack
from maypacs_node.bench import object_store_client
from maypacs_node.seaweed import INBOX_BUCKET

Key = tuple[str, str, str]


@dataclass
class CloudState:
    current: list[tuple[Key, str]] = field(default_factory=list)
    """Each instance that a reader finds, with the SHA-256 of its data set as it comes back; of what the edge has
    compressed, of what was sent.
    """
    conflicts: int = 0
    """How many the console shows."""
    packed: set[str] = field(default_factory=set)
    """The same digest of every part of every pack, current or not."""
    quarantined: dict[str, str] = field(default_factory=dict)
    """The same of every file in quarantine, and why it is there."""
    inbox: list[str] = field(default_factory=list)
    rows: dict[str, Any] = field(default_factory=dict)
    """What searches and the console say of each study, series and instance."""


class Cloud:
    def __init__(self, node: Node, archive: str, key: str) -> None:
        self._node, self._archive = node, archive
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {key}"

    def close(self) -> None:
        self._session.close()

    def _get(self, path: str, accept: str = "application/dicom+json") -> requests.Response:
        url = self._node.url + path
        answer = self._session.get(url, headers={"Accept": accept}, timeout=120)
        assert answer.status_code in (200, 204), f"{path.split('/')[1]}: HTTP {answer.status_code}"
        return answer

    def _all(self, path: str) -> Iterator[dict[str, Any]]:
        """Every page of a search."""
        offset = 0
        while True:
            answer = self._get(f"{path}?limit=500&offset={offset}&includefield=all")
            found = answer.json() if answer.status_code == 200 else []
            yield from found
            if len(found) < 500:
                return
            offset += 500

    def inbox(self) -> list[str]:
        client, _ = object_store_client(self._node.data)
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=INBOX_BUCKET)
        return [entry["Key"] for page in pages for entry in page.get("Contents", ())]

    def rows(self) -> tuple[dict[str, Any], int]:
        """What searches and the console say, and how many conflicts that is."""
        seen: dict[str, Any] = {}
        conflicts = 0
        root = f"/dicomweb/{self._archive}/studies"
        for item in self._all(root):
            study = _uid(item, "0020000D")
            seen[study] = _plain(item)
            overview = self._get(f"/api/archives/{self._archive}/studies/{study}", "application/json").json()
            conflicts += overview["conflicts"]
            seen[f"{study} conflicts"] = {s["series_instance_uid"]: s["conflicts"] for s in overview["series"]}
            for series in self._all(f"{root}/{study}/series"):
                seen[f"{study}/{_uid(series, '0020000E')}"] = _plain(series)
            for instance in self._all(f"{root}/{study}/instances"):
                name = "/".join((study, _uid(instance, "0020000E"), _uid(instance, "00080018")))
                assert name not in seen, "one instance is found twice"
                seen[name] = _plain(instance)
        return seen, conflicts

    def state(self, digest: Callable[[bytes], str] = digest_of) -> CloudState:
        """Everything; reads every byte. ``digest``: by which a Part 10 file is known."""
        state = CloudState()
        state.rows, state.conflicts = self.rows()
        keys = [tuple(name.split("/")) for name in state.rows if name.count("/") == 2]
        for study, series in sorted({(key[0], key[1]) for key in keys}):
            state.current += self._series(study, series, digest)
        found = sorted(key for key, _ in state.current)
        assert found == sorted(keys), "what is found is not what is retrieved"
        client, bucket = object_store_client(self._node.data)
        pages = client.get_paginator("list_objects_v2")
        for page in pages.paginate(Bucket=bucket, Prefix="blobs/packs/"):
            for entry in page.get("Contents", ()):
                body = client.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read()
                parts = scan_pack(body, limits=False).parts
                state.packed |= {digest(body[part.offset : part.offset + part.length]) for part in parts}
        reasons: dict[str, str] = {}
        for page in pages.paginate(Bucket=bucket, Prefix="quarantine/"):
            for entry in page.get("Contents", ()):
                key = entry["Key"]
                body = client.get_object(Bucket=bucket, Key=key)["Body"].read()
                if key.endswith("reason.json"):
                    reasons[key.removesuffix(".reason.json")] = json.loads(body)["reason"]
                else:
                    state.quarantined[_digest(body)] = key
        state.quarantined = {digest: reasons.get(key, "no reason given") for digest, key in state.quarantined.items()}
        state.inbox = self.inbox()
        return state

    def _series(self, study: str, series: str, digest: Callable[[bytes], str]) -> Iterator[tuple[Key, str]]:
        path = f"/dicomweb/{self._archive}/studies/{study}/series/{series}"
        answer = self._get(path, 'multipart/related; type="application/dicom"; transfer-syntax=*')
        boundary = email.message_from_string(f"Content-Type: {answer.headers['Content-Type']}\n\n").get_boundary()
        assert boundary
        for part in read_multipart(answer.content, boundary):
            instance = part.headers["content-location"].rpartition("/instances/")[2]
            yield (study, series, instance), digest(bytes(part.content))


def _digest(body: bytes) -> str:
    return digest_of(body) if body[128:132] == b"DICM" else hashlib.sha256(body).hexdigest()


def _uid(item: dict[str, Any], tag: str) -> str:
    return str(item[tag]["Value"][0])


def _plain(item: dict[str, Any]) -> dict[str, Any]:
    """Without what a port number is part of."""
    return {tag: value for tag, value in item.items() if tag != "00081190"}
