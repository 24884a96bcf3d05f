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
uplink             windows, waiting, urgency (pure), throttle,                 the tap; what waits for it
                   sender, settle, tidying
reading            query (pure), find, fetch, retrieve, cache                  the cache, which can be deleted
health             health/ (host, sightings, vitals, findings, heartbeat,      what it has seen of devices
                   echo, metrics, server)
other doors        stow/ (STOW-RS): as receive, by HTTP                        one socket each
identity           keys (the key and its successor), tenant (whose spool)      credentials.json
promising          commitment, evidence                                        requests, by way of the ledger
bulk               importing/ (send), migrating/ (migrate), progress           what they have sent, fetched
threads            listener, receive (one an association), keeper, uploader,   queues between them
                   watcher, commitment
composition        service, running and reloading (signals), systemd, cli,     the process
                   commands/, enroll, status_report, config/, logs
=================  ==========================================================  =================================
"""

__version__ = "0.1.0"
