"""The edge to models: providers, client, call ledger, prompts and the embedded offline provider."""
