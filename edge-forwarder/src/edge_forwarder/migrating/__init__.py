"""`migrate`: another PACS into the archive: asking it, what it has and where that is, patience, periods."""
