"""From acknowledged files to packs: taken into journal and ledger, planned by series, written by the pack grammar."""
