"""The local STOW-RS endpoint (PS3.18 10.5): software of the hospital stores by HTTP what modalities store by DIMSE.

Off unless configured. An instance is taken as by C-STORE: streamed to the spool, fsync, rename, fsync of the folder,
and only then said to be stored; of a request that breaks off, whatever came whole goes up all the same.
"""
