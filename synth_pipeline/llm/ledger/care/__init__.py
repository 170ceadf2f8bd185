"""Care for a ledger's file while others may be writing to it: shown, exported, pruned, verified, backed up."""
