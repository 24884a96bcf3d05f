"""What the edge knows beside the files: the journal, rebuilt from them, and the ledger, which cannot be."""
