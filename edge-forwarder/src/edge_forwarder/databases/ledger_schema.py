"""The tables of `ledger.Ledger`, and the steps from those of earlier versions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

VERSION: Final = 6
SCHEMA: Final = """
create table sent (
  name text primary key, file text not null, ae text not null, sop text not null, sop_class text not null,
  study text not null, series text not null, digest text, state text not null, at real not null,
  sent_as text, known integer not null default 0, turn integer not null, syntax text not null, arrival text,
  sent_syntax text
) without rowid;
create index sent_by_sop on sent (sop);
create index sent_by_file on sent (file);
create index sent_by_study on sent (study);
create table commitments (
  id integer primary key, ae text not null, uid text not null, wanted text not null, state text not null,
  outcome text, created_at real not null, due_at real not null, attempts integer not null default 0, error text,
  unique (ae, uid)
);
create index commitments_by_state on commitments (state, due_at);
"""
#: By version: what makes it the next one. Version 4 knows no transfer syntaxes: the wrong guess at one fails a
#: commitment, whose device then sends again; it promises nothing. Version 5 compressed to one syntax.
MIGRATIONS: Final[Mapping[int, str]] = {
    1: "create index sent_by_study on sent (study);",
    2: "alter table sent add column sent_as text;",
    3: "alter table sent add column known integer not null default 0;",
    4: """
alter table sent add column turn integer not null default 0;
alter table sent add column syntax text not null default '1.2.840.10008.1.2.1';
alter table sent add column arrival text;
alter table commitments rename column next_at to due_at;
""",
    5: """
alter table sent add column sent_syntax text;
update sent set sent_syntax = '1.2.840.10008.1.2.4.80' where sent_as <> digest and syntax = '1.2.840.10008.1.2.1';
""",
}
