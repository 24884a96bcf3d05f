"""The tables of `journal.Journal`, and the steps from those of earlier versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

VERSION: Final = 3
SCHEMA: Final = """
create table instances (
  name text primary key, size integer not null, pack text,
  study text, series text, sop text, sop_class text, syntax text, modality text, number integer,
  stat integer not null default 0
) without rowid;
create index instances_by_pack on instances (pack);
create index instances_by_sop on instances (sop);
create table packs (
  id text primary key, state text not null, created_at real not null, boundary text,
  arrival text, length integer, sha256 text, sent_at real, attempts integer not null default 0, error text,
  stat integer not null default 0
) without rowid;
create index packs_by_state on packs (state);
create table boundaries (study text primary key, boundary text not null) without rowid;
create table facts (name text primary key, value) without rowid;
"""
MIGRATIONS: Final[Mapping[int, str]] = {
    1: """
alter table instances add column stat integer not null default 0;
alter table packs add column stat integer not null default 0;
alter table packs add column doubt integer not null default 0;
""",
    2: "alter table packs drop column doubt;",
}
