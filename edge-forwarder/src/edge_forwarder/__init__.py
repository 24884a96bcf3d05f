"""The MayPACS edge forwarder: takes DICOM from a hospital's modalities, keeps it safe, uploads it.

Layers, and who owns which state:

=================  ==========================================================  =================================
layer              modules                                                     owns
=================  ==========================================================  =================================
wire (pure)        pdu, dimse, negotiation, statuses                           nothing: bytes in, values out
connections        wire, services, scu, tls                                    one socket each
files (pure)       part10, peek, packs, planner, rewrite                       the planner owns the open packs
durable state      spool (the truth), journal (rebuilt from the spool),        files; two SQLite files
                   ledger (what was sent and promised; cannot be rebuilt)
by other processes intake (the edge's side and theirs), attention              what is handed over, set aside
cloud              cloud, inbox, in_parts, dicomweb, multipart, retry          connections
uplink             windows, waiting, asking, urgency (pure), throttle,         the tap; what waits for it
                   sender, settle, tidying
reading            query (pure), find, fetch, retrieve, cache                  the cache, which can be deleted
promising          commitment, evidence                                        requests, by way of the ledger
bulk               importing/ (send), migrating/ (migrate), progress           what they have sent, fetched
threads            listener, receive (one an association), keeper, uploader,   queues between them
                   watcher, commitment
composition        service, cli, commands/, enroll, status_report, config,     the process
                   logs
=================  ==========================================================  =================================
"""

__version__ = "0.1.0"
