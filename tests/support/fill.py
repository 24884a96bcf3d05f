"""Fills a table with synthetic studies: the rows that ingest would write (study, series, hints), without any object.

Names are drawn as Vietnamese names are: two in five are Nguyễn. Everything follows from the seed and the number.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from maypacs.index.rows import Attributes, SeriesSummary, StudySummary
from maypacs.index.sqlite_table import SqliteTable
from maypacs.index.table import Item, Table
from maypacs.index.terms import hint_rows
from maypacs.uids import ArchiveId, Uid

FAMILY = ["Nguyễn"] * 40 + ["Trần"] * 12 + ["Lê"] * 10 + ["Phạm"] * 8 + ["Hoàng"] * 6 + ["Đặng"] * 5 + ["Vũ"] * 5
FAMILY += ["Bùi", "Đỗ", "Hồ", "Ngô", "Dương", "Lý", "Phan", "Võ", "Mai", "Tô", "Đinh", "Trịnh", "Lâm", "Cao"]
MIDDLE = ["Văn", "Thị", "Đức", "Hữu", "Ngọc", "Minh", "Thanh", "Quốc"]
GIVEN = ["Thử", "Mẫu", "An", "Bình", "Cường", "Dũng", "Giang", "Hà", "Hùng", "Khánh", "Lan", "Mai", "Nam", "Oanh"]
GIVEN += ["Phúc", "Quân", "Sơn", "Tâm", "Uyên", "Vinh", "Xuân", "Yến", "Ánh", "Đạt"]
MODALITIES = ["CT", "MR", "CR", "DX", "US", "MG"]
DESCRIPTIONS = ["Ngực thẳng", "Sọ não", "Bụng tổng quát", "Cột sống"]
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"


def synthetic_study(archive_id: ArchiveId, number: int, *, seed: int = 0, years: int = 5) -> list[Any]:
    """A StudySummary and its SeriesSummary rows."""
    dice = random.Random(seed * 1_000_003 + number)
    study = Uid(f"1.2.826.0.1.3680043.10.1.{seed}.{number}")
    patient = dice.randrange(max(1, 10_000_000))
    name = f"{dice.choice(FAMILY)}^{dice.choice(MIDDLE)} {dice.choice(GIVEN)}"
    date = f"{2026 - dice.randrange(years)}{dice.randint(1, 12):02}{dice.randint(1, 28):02}"
    time = f"{dice.randrange(24):02}{dice.randrange(60):02}{dice.randrange(60):02}"
    attributes: Attributes = {
        "00080020": {"vr": "DA", "Value": [date]},
        "00080030": {"vr": "TM", "Value": [time]},
        "00080050": {"vr": "SH", "Value": [f"A{number:08}"]},
        "00080090": {"vr": "PN", "Value": [{"Alphabetic": "Bác sĩ^Thử"}]},
        "00081030": {"vr": "LO", "Value": [dice.choice(DESCRIPTIONS)]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": name}]},
        "00100020": {"vr": "LO", "Value": [f"P{patient:07}"]},
        "00100030": {"vr": "DA", "Value": [f"{dice.randint(1930, 2020)}0101"]},
        "00100040": {"vr": "CS", "Value": [dice.choice("MFO")]},
        "0020000D": {"vr": "UI", "Value": [study]},
        "00200010": {"vr": "SH", "Value": [f"S{number}"]},
    }
    modality = dice.choice(MODALITIES)
    arrival = f"01J{number:023}"
    found = {
        "archive_id": archive_id,
        "study_instance_uid": study,
        "revision": 1,
        "first_arrival": arrival,
        "last_arrival": arrival,
        "patient_ids": (f"P{patient:07}",),
        "patient_names": (name,),
        "accession_numbers": (f"A{number:08}",),
        "sop_classes": (CT_IMAGE,),
    }
    series = [
        SeriesSummary(
            **found,
            series_instance_uid=Uid(f"{study}.{i}"),
            attributes=attributes
            | {
                "00080060": {"vr": "CS", "Value": [modality]},
                "0020000E": {"vr": "UI", "Value": [f"{study}.{i}"]},
                "00200011": {"vr": "IS", "Value": [i]},
            },
            modality=modality,
            transfer_syntaxes=("1.2.840.10008.1.2.1",),
            number_of_instances=100,
            number_of_conflicts=0,
            number_of_packs=1,
            size=52_000_000,
            clean=True,
        )
        for i in range(1, dice.randint(1, 3) + 1)
    ]
    summary = StudySummary(
        **found,
        attributes=attributes,
        modalities=(modality,),
        number_of_series=len(series),
        number_of_instances=100 * len(series),
        size=52_000_000 * len(series),
    )
    return [summary, *series]


def rows_of(study: StudySummary, *series: SeriesSummary) -> list[Item]:
    return [study.to_item(), *(each.to_item() for each in series), *hint_rows(study)]


def synthetic_rows(archive_id: ArchiveId, count: int, *, first: int = 0, seed: int = 0) -> Iterator[Item]:
    for number in range(first, first + count):
        yield from rows_of(*synthetic_study(archive_id, number, seed=seed))


def fill(table: Table, archive_id: ArchiveId, count: int, *, first: int = 0, seed: int = 0) -> None:
    """About 9,000 studies a second into SQLite (one transaction for every 5,000), one row at a time elsewhere."""
    if isinstance(table, SqliteTable):
        for start in range(first, first + count, 5_000):
            many = min(5_000, first + count - start)
            table.put_many(synthetic_rows(archive_id, many, first=start, seed=seed))
    else:
        for item in synthetic_rows(archive_id, count, first=first, seed=seed):
            table.put(item)


#: Studies of patients of whom no other has the name, in every archive beside the synthetic ones.
NAMED = 100


def unique_name(number: int) -> str:
    return f"Thử^Mẫu Riêng{chr(97 + number // 26)}{chr(97 + number % 26)}"


def add_named(table: Table, archive_id: ArchiveId) -> None:
    for number in range(NAMED):
        study = synthetic_study(archive_id, 10_000_000 + number)[0]
        for row in rows_of(replace(study, patient_names=(unique_name(number),))):
            table.put(row)
