"""synth_pipeline: LLM-made training data, with proof of what it is worth.

The map:
    contracts/    what all layers agree on; no I/O
    stages/       pure functions, frames in and frames out; no stage imports another
    kinds/        which function does each stage, for each kind of dataset
    llm/          the edge to models: the completer, call ledger, limits, routes, parsing, prompts, the offline provider
    components/   the Dagster shell: components, partitions, IO managers, checks, metadata
    defs/         what Dagster loads: one folder a recipe
    definitions   the code location
    commands/     what the `synth` commands do: plain functions over the code location
    cli           the `synth` command, a thin front over them
"""

__version__ = "0.1.0"
