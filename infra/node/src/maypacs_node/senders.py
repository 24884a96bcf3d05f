"""Sends files by DICOM C-STORE as a modality would, and looks whether a DICOMweb server has them."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path

from maypacs_node.home import NodeError

#: (StudyInstanceUID, SOPInstanceUID)
Uid = tuple[str, str]
#: Presentation contexts of one association (PS3.8 9.3.2: odd ids up to 255).
_MOST_CONTEXTS = 128


def send_folder(folder: Path, host: str, port: int, ae_title: str) -> set[Uid]:
    """Sends every DICOM file of the folder in one association. Raises NodeError when one is not acknowledged."""
    from pydicom import dcmread
    from pynetdicom import AE

    files = []
    contexts: dict[tuple[str, str], None] = {}
    for path in sorted(folder.rglob("*.dcm")):
        header = dcmread(path, stop_before_pixels=True)
        files.append((path, (str(header.StudyInstanceUID), str(header.SOPInstanceUID))))
        contexts[(header.SOPClassUID, header.file_meta.TransferSyntaxUID)] = None
    if not files:
        return set()
    entity = AE(ae_title="DEMO")
    for sop_class, syntax in list(contexts)[:_MOST_CONTEXTS]:
        entity.add_requested_context(sop_class, syntax)
    association = entity.associate(host, port, ae_title=ae_title)
    if not association.is_established:
        raise NodeError(f"the edge {ae_title}@{host}:{port} takes no association")
    try:
        for path, _ in files:
            status = association.send_c_store(path)
            if "Status" not in status or status.Status != 0x0000:
                raise NodeError(f"the edge did not take {path.name} of the samples")
    finally:
        association.release()
    return {uid for _, uid in files}


def search_instances(root: str, key: str, studies: set[str]) -> set[Uid]:
    """The instances of these studies that a search finds (QIDO-RS, PS3.18 10.6)."""
    found: set[Uid] = set()
    for study in studies:
        offset, page = 0, -1
        while page:
            url = f"{root}/studies/{study}/instances?limit=1000&offset={offset}"
            request = urllib.request.Request(  # noqa: S310 - the node's own address
                url, headers={"Authorization": f"Bearer {key}", "Accept": "application/dicom+json"}
            )
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                text = answer.read()
            items = json.loads(text) if text else []
            found |= {(study, item["00080018"]["Value"][0]) for item in items}
            page = len(items) if len(items) == 1000 else 0
            offset += len(items)
    return found
