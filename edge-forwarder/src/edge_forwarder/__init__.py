"""The MayPACS edge forwarder: takes DICOM from a hospital's modalities, keeps it safe, uploads it.

Layers, and who owns which state:

=================  ==========================================================  =================================
layer              modules                                                     owns
=================  ==========================================================  =================================
wire (pure)        pdu, dimse, negotiation, statuses                           nothing: bytes in, values out
files (pure)       part10, peek, packs, planner                                the planner owns the open packs
durable state      spool (the truth), journal (rebuilt from the spool)         files; one SQLite file
cloud              cloud, retry                                                connections
threads            receive (one an association), keeper, uploader, watcher     queues between them
composition        service, cli, enroll, status_report, config, logs           the process
=================  ==========================================================  =================================
"""

__version__ = "0.1.0"
