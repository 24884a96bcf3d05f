"""The MayPACS edge forwarder: takes DICOM from a hospital's modalities, keeps it safe, uploads it.

Layers, upper ones import lower ones (a contract in pyproject.toml says so), and who owns which state:

=================  ============================================================  ===============================
layer              what                                                          owns
=================  ============================================================  ===============================
cli, commands/     a module a command; enroll, checks, status_report, _text      nothing
importing/         `send`: folders, zips, discs                                  what it has handed over
migrating/         `migrate`: another PACS, day by day                           what it has fetched
running            the process: signals (reloading), systemd                     the process
service            composition: makes the parts, starts and stops them           nothing
health/            vitals, findings (pure), heartbeat, echo, metrics             counts of the last hour
stow/              STOW-RS: as dimse.association, by HTTP                        one socket each
query_retrieve/    C-FIND, C-MOVE, C-GET from the cloud's archive                the cache, which can be deleted
commitment/        storage commitment, judged by evidence                        requests, by way of the ledger
upload/            the uplink: what goes next, how fast, what became of it       the tap; what waits for it
cloud/             what the cloud is asked: client, inbox, dicomweb, keys        connections; credentials.json
packing/           keeper and planner (pure): from acknowledged files to packs   the open packs
databases/         journal (rebuilt from the spool), ledger (cannot be)          two SQLite files
dimse/             Upper Layer and DIMSE, both sides; pdu, messages are pure     one socket each
spool/             the folder that is the truth, handed over and set aside too   files
config/            edge.toml, a module a section                                 nothing
compression/       an instance, compressed without loss and proven (pure)        nothing
dicom/             Part 10 files and data sets as bytes                          nothing
errors, logs       what everybody raises and says; chore, ports, progress        nothing
=================  ============================================================  ===============================

Threads: `dimse.listener` (one, and one an association), `stow.server` (the same), `packing.keeper`, `packing.intake`,
`upload.uploader` (several), `upload.watcher`, `upload.tidying`, `commitment.commitments`, `query_retrieve.cache` and
`.erased`, `health`: each owns its state; they meet in queues, in the databases (one connection, one lock each) and in
the spool.
"""

__version__ = "0.1.0"
