"""The spool's folders, which are the truth about what was received: what is in them, under which names, for whom."""
