"""What all layers agree on: errors, identity, tables, records, recipes, providers, protocols. No I/O."""
