"""A hospital's archive as hospitals have them, of any size: studies by number, without any object.

The mix is that of a published archive (King Hamad University Hospital: a million studies, 476 million files, 48 TB), so
476 instances and 48 MB a study on average. Names are drawn as Vietnamese names are: two in five are Nguyễn, a hundred
given names of which few are common. Everything follows from the number of a study; a patient has two or three studies,
whose numbers are neighbours, so that an archive of any size holds the first studies of a larger one.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from typing import Any

from maypacs.index.rows import Attributes, SeriesSummary, StudySummary
from maypacs.index.table import Item
from maypacs.index.terms import hint_rows
from maypacs.uids import ArchiveId, Uid

ROOT = "1.2.826.0.1.3680043.10.2"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of study: its share of all, and what it holds on average."""

    modality: str
    sop_class: str
    share: float
    series: int
    instances: int
    kilobytes: int  #: an instance, as stored
    descriptions: tuple[str, ...]


MIX = (
    Kind("DX", "1.2.840.10008.5.1.4.1.1.1.1", 0.30, 1, 2, 4_000, ("Ngực thẳng", "Cột sống thắt lưng", "Khung chậu")),
    Kind("CR", "1.2.840.10008.5.1.4.1.1.1", 0.15, 1, 2, 4_000, ("Ngực thẳng", "Bàn tay hai tư thế", "Khớp gối")),
    Kind("US", "1.2.840.10008.5.1.4.1.1.6.1", 0.22, 1, 25, 480, ("Bụng tổng quát", "Tuyến giáp", "Thai", "Tim")),
    Kind("CT", "1.2.840.10008.5.1.4.1.1.2", 0.19, 5, 1_600, 90, ("Sọ não", "Ngực có cản quang", "Bụng chậu")),
    Kind("MR", "1.2.840.10008.5.1.4.1.1.4", 0.12, 8, 1_380, 80, ("Sọ não", "Cột sống cổ", "Khớp gối", "Gan mật")),
    Kind("MG", "1.2.840.10008.5.1.4.1.1.1.2", 0.02, 4, 4, 15_000, ("Nhũ ảnh hai bên",)),
)
SR, DOSE_REPORTS = "1.2.840.10008.5.1.4.1.1.88.67", 0.6  #: of CT studies

_FEW_FAMILY = "Mai Tô Trịnh Lâm Cao Đào Đoàn Hà Lương Tạ Thái Châu Quách Kiều La Tăng Vương"
_FEW_MIDDLE = "Đình Quang Anh Bảo Gia Hoài Kim Thu Phương Mạnh Tuấn Việt Duy Hải Khánh Như"
_GIVEN_NAMES = """Anh Hương Hùng Lan Dũng Hoa Tuấn Linh Hà Thử Mẫu An Bình Cường Giang Khánh Mai Nam Oanh Phúc Quân Sơn
Tâm Uyên Vinh Xuân Yến Ánh Đạt Thảo Trang Trung Long Minh Ngọc Thủy Hằng Hải Hiền Huy Kiên Loan Lý Nga Nhung Phương
Quang Thắng Thành Tú Tùng Vân Việt Bích Chi Công Diệp Duy Đông Đức Hạnh Hậu Hiếu Hòa Hồng Huệ Khang Khoa Kim Lâm Liên
Lợi Luân Ly Mạnh My Mỹ Nghĩa Nguyên Nhân Nhi Như Phong Phú Quý Quyên Quỳnh Tài Tân Thanh Thi Thu Thư Tiến Toàn Trâm Trí
Trinh Trúc Tuyết Tường Vi Vy Vỹ Ý Yên"""
#: Weights. The rarest family and middle names have one each, given names fewer the later they come.
FAMILY = {"Nguyễn": 40.0, "Trần": 11, "Lê": 9.5, "Phạm": 7, "Hoàng": 5, "Phan": 4.5, "Vũ": 3.9, "Đặng": 2.1, "Bùi": 2}
FAMILY |= {"Đỗ": 1.4, "Hồ": 1.3, "Ngô": 1.3, "Dương": 1, "Võ": 1, "Lý": 0.5, "Huỳnh": 0.9, "Trương": 0.8, "Đinh": 0.8}
FAMILY |= dict.fromkeys(_FEW_FAMILY.split(), 0.3)
MIDDLE = {"Thị": 28.0, "Văn": 22, "Đức": 5, "Hữu": 5, "Ngọc": 7, "Minh": 6, "Thanh": 6, "Quốc": 4, "Xuân": 4, "Công": 3}
MIDDLE |= dict.fromkeys(_FEW_MIDDLE.split(), 1.0)
GIVEN = {name: 1 / (rank + 8) for rank, name in enumerate(_GIVEN_NAMES.split())}
_FAMILY, _MIDDLE, _GIVEN_CHOICE = ((list(names), list(accumulate(names.values()))) for names in (FAMILY, MIDDLE, GIVEN))
_KINDS = (list(MIX), list(accumulate(kind.share for kind in MIX)))
YEARS = 5
#: Studies of two patients: three of the first, two of the second.
_TOGETHER = 5


def patient_of(number: int) -> int:
    return number // _TOGETHER * 2 + (number % _TOGETHER > 2)


def patient_id(patient: int) -> str:
    return f"BN{patient:08}"


@lru_cache(maxsize=4)
def patient_name(patient: int) -> str:
    """As modalities write them: one family name, one to three others."""
    dice = random.Random(patient * 7_919 + 17)
    family, first, second, given = (_draw(dice, each) for each in (_FAMILY, _MIDDLE, _MIDDLE, _GIVEN_CHOICE))
    parts = dice.random()
    middle = "" if parts < 0.04 else f"{first} " if parts < 0.75 or first == second else f"{first} {second} "
    return f"{family}^{middle}{given}"


def names(studies: int) -> Counter[str]:
    """How many studies of an archive have each name."""
    found: Counter[str] = Counter()
    for patient in range(patient_of(studies - 1) + 1):
        first = patient // 2 * _TOGETHER + 3 * (patient % 2)
        found[patient_name(patient)] += min(studies - first, 2 if patient % 2 else 3)
    return found


def study_uid(number: int) -> Uid:
    return Uid(f"{ROOT}.{1_000_000_000 + number}")


def accession(number: int) -> str:
    return f"A{number:09}"


def study(archive_id: ArchiveId, number: int) -> tuple[StudySummary, list[SeriesSummary]]:
    """The rows that ingest would have made of it."""
    dice = random.Random(number)
    kind: Kind = _draw(dice, _KINDS)
    uid, patient = study_uid(number), patient_of(number)
    name, pid = patient_name(patient), patient_id(patient)
    date = f"{2026 - dice.randrange(YEARS)}{dice.randint(1, 12):02}{dice.randint(1, 28):02}"
    time = (
        f"{dice.choice((7, 8, 8, 9, 9, 10, 10, 11, 13, 14, 14, 15, 16, 19)):02}{dice.randrange(3600) * 60 // 3600:02}"
    )
    time += f"{dice.randrange(60):02}"
    attributes: Attributes = {
        "00080020": _element("DA", date),
        "00080030": _element("TM", time),
        "00080050": _element("SH", accession(number)),
        "00080090": _element("PN", {"Alphabetic": f"Bác sĩ^Thử {dice.randrange(40)}"}),
        "00081030": _element("LO", dice.choice(kind.descriptions)),
        "00100010": _element("PN", {"Alphabetic": name}),
        "00100020": _element("LO", pid),
        "00100030": _element("DA", f"{1930 + patient % 90}{patient % 12 + 1:02}{patient % 28 + 1:02}"),
        "00100040": _element("CS", "F" if "Thị" in name else "M"),
        "00101010": _element("AS", f"{2026 - 1930 - patient % 90:03}Y"),
        "0020000D": _element("UI", uid),
        "00200010": _element("SH", f"S{number}"),
    }
    arrival = f"01J{number:023}"
    common: dict[str, Any] = {
        "archive_id": archive_id,
        "study_instance_uid": uid,
        "revision": 1,
        "first_arrival": arrival,
        "last_arrival": arrival,
        "patient_ids": (pid,),
        "patient_names": (name,),
        "accession_numbers": (accession(number),),
    }
    report = kind.modality == "CT" and dice.random() < DOSE_REPORTS
    count = max(1, round(kind.series * dice.uniform(0.5, 1.5)))
    each = max(1, round(kind.instances * dice.uniform(0.4, 1.6) / count))
    series = [
        _series(common, attributes, number=i, modality=kind.modality, sop_class=kind.sop_class, instances=each,
                size=each * kind.kilobytes * 1_000)
        for i in range(1, count + 1)
    ]  # fmt: skip
    if report:
        series.append(_series(common, attributes, number=997, modality="SR", sop_class=SR, instances=1, size=20_000))
    summary = StudySummary(
        **common,
        attributes=attributes,
        modalities=tuple(sorted({one.modality for one in series})),
        sop_classes=tuple(sorted({one.sop_classes[0] for one in series})),
        number_of_series=len(series),
        number_of_instances=sum(one.number_of_instances for one in series),
        size=sum(one.size for one in series),
    )
    return summary, series


def rows(archive_id: ArchiveId, count: int, *, first: int = 0) -> Iterator[Item]:
    """The rows of studies, their series and their hints: all that a search for studies or series reads."""
    months = set()
    for number in range(first, first + count):
        summary, series = study(archive_id, number)
        yield summary.to_item()
        for one in series:
            yield one.to_item()
        for hint in hint_rows(summary):
            key = (hint["pk"], hint["sk"])
            if "study" in hint or key not in months:
                months |= set() if "study" in hint else {key}
                yield hint


def _series(
    common: dict[str, Any],
    attributes: Attributes,
    *,
    number: int,
    modality: str,
    sop_class: str,
    instances: int,
    size: int,
) -> SeriesSummary:
    uid = Uid(f"{common['study_instance_uid']}.{number}")
    own: Attributes = {
        "00080021": attributes["00080020"],
        "00080031": attributes["00080030"],
        "00080060": _element("CS", modality),
        "00080070": _element("LO", "Hãng Thử Nghiệm"),
        "00080080": _element("LO", "Bệnh viện Đa khoa Mẫu"),
        "00081010": _element("SH", f"{modality}-PHONG-{number % 3}"),
        "0008103E": _element("LO", f"{attributes['00081030']['Value'][0]} {number}"),
        "00081090": _element("LO", "Máy Thử 64"),
        "00180015": _element("CS", "CHEST"),
        "00181030": _element("LO", "Quy trình chuẩn"),
        "0020000E": _element("UI", uid),
        "00200011": _element("IS", number),
    }
    return SeriesSummary(
        **common,
        series_instance_uid=uid,
        attributes=attributes | own,
        modality=modality,
        sop_classes=(sop_class,),
        transfer_syntaxes=("1.2.840.10008.1.2.4.80",),
        number_of_instances=instances,
        number_of_conflicts=0,
        number_of_packs=max(1, -(-size // (60 * 1024 * 1024))),
        size=size,
        clean=True,
    )


def _draw(dice: random.Random, choice: tuple[list[Any], list[float]]) -> Any:
    values, weights = choice
    return dice.choices(values, cum_weights=weights)[0]


def _element(vr: str, value: Any) -> dict[str, Any]:
    return {"vr": vr, "Value": [value]}
