"""The tables: seven assets, the merged set and the reference, each with its grain and columns."""

import polars as pl

from synth_pipeline.contracts.table import Column, Table

TEXT, INT, REAL, FLAG = pl.String(), pl.Int64(), pl.Float64(), pl.Boolean()
NAMES = pl.List(pl.String())
VERDICTS = pl.List(pl.Struct({"rule": pl.String(), "verdict": pl.String(), "reason": pl.String()}))

PARTITION = (
    Column("provider", TEXT, "who answered: the partition's provider"),
    Column("seed", INT, "the random seed: the partition's seed"),
)
PLANNED = (
    Column("planned_id", TEXT, "identity of the planned record, the same for every provider"),
    Column("cell_id", TEXT, "identity of the combination of axis values"),
)
FLAW = (
    Column("quantity", TEXT, "the design check that the text states", nullable=True),
    Column("healthy_value", TEXT, "its value in a sound study, as written", nullable=True),
    Column("flaw", TEXT, "the damage; null where there is none", nullable=True),
    Column("severity", TEXT, "how bad the damage is", nullable=True),
    Column("sick_value", TEXT, "the quantity's value in the damaged text, as written", nullable=True),
)
WRITTEN = (
    Column("state", TEXT, "ok, refused, cut_off, unparsable, failed or out_of_budget"),
    Column("state_reason", TEXT, "why the state is not ok", nullable=True),
    Column("text", TEXT, "the record's text field", nullable=True),
    Column("record", TEXT, "the parsed record as canonical JSON", nullable=True),
    Column("checksum", TEXT, "SHA-256 of the record's canonical JSON", nullable=True),
)
PROVENANCE = (
    Column("model", TEXT, "the LiteLLM model that was asked"),
    Column("family", TEXT, "the provider's family; a judge never judges its own"),
    Column("offline", FLAG, "true where the offline stand-in answered, not an LLM"),
    Column("role", TEXT, "what the model was asked to do"),
    Column("template", TEXT, "the template's path below prompts/"),
    Column("template_version", TEXT, "the version in the template's front matter"),
    Column("template_sha256", TEXT, "SHA-256 of the template's bytes"),
    Column("temperature", REAL, "sampling temperature asked for"),
    Column("call_key", TEXT, "key of the last completion in the call ledger", nullable=True),
    Column("attempts", INT, "completions bought for it: 1, or 2 with a repair"),
    Column("tokens_in", INT, "prompt tokens over all its completions"),
    Column("tokens_out", INT, "completion tokens over all its completions"),
    Column("cost_usd", REAL, "US dollars over all its completions"),
    Column("completed_at", TEXT, "UTC time of the last completion, ISO 8601", nullable=True),
    Column("latency_s", REAL, "seconds the last completion took", nullable=True),
    Column("finish_reason", TEXT, "the provider's finish reason", nullable=True),
)

ONTOLOGY = Table(
    "ontology",
    "one row per axis value, constraint, number, quantity, flaw or rule",
    ("provider", "seed", "fact_id"),
    (
        Column("fact_id", TEXT, "identity of the fact"),
        *PARTITION,
        Column("layer", TEXT, "structure (what exists) or parameter (how much of it)"),
        Column("fact", TEXT, "axis_value, constraint, number, quantity, flaw or rule"),
        Column("name", TEXT, "the axis, number, quantity, flaw or rule"),
        Column("value", TEXT, "the value on the axis", nullable=True),
        Column("share", REAL, "target share of the value, 0-1", nullable=True),
        Column("low", REAL, "least allowed value", nullable=True),
        Column("high", REAL, "largest allowed value", nullable=True),
        Column("detail", TEXT, "the declaration as canonical JSON", nullable=True),
        Column("source", TEXT, "where the fact comes from", nullable=True),
        Column("votes", INT, "providers of the panel that confirm it; null where nobody was asked", nullable=True),
        Column("voters", INT, "providers of the panel that answered", nullable=True),
        Column("supporters", NAMES, "the providers that confirm it"),
        Column(
            "own_vote",
            FLAG,
            "this partition's provider's vote; null where it is not on the panel",
            nullable=True,
        ),
        Column("status", TEXT, "confirmed, contradicted, no_consensus or declared"),
    ),
)
SAMPLING_PLAN = Table(
    "sampling_plan",
    "one row per planned record",
    ("provider", "seed", "planned_id"),
    (
        *PLANNED,
        *PARTITION,
        Column("ordinal", INT, "the record's number inside its cell, from 0"),
        Column("position", INT, "the order in which it is written, from 0"),
        Column("round", INT, "the round that planned it, from 0"),
        *FLAW,
    ),
)
RAW_GENERATIONS = Table(
    "raw_generations",
    "one row per planned record",
    ("provider", "seed", "record_id"),
    (
        Column("record_id", TEXT, "identity of what the provider wrote"),
        *PLANNED,
        *PARTITION,
        *WRITTEN,
        *PROVENANCE,
    ),
)
FLAWED_VARIANTS = Table(
    "flawed_variants",
    "one row per variant",
    ("provider", "seed", "variant_id"),
    (
        Column("variant_id", TEXT, "identity of the damaged record"),
        Column("record_id", TEXT, "the source record: its clean twin"),
        *PLANNED,
        *PARTITION,
        *FLAW,
        Column("domain", TEXT, "the risk-of-bias domain that the flaw belongs to"),
        *WRITTEN,
        Column("span_start", INT, "first character of the text that differs", nullable=True),
        Column("span_end", INT, "character after the text that differs", nullable=True),
        Column("span_before", TEXT, "what stands there in the source record", nullable=True),
        Column("span_after", TEXT, "what stands there in the variant", nullable=True),
        Column("proof", TEXT, "proven, or why the damage is not what was planned", nullable=True),
        *PROVENANCE,
    ),
)
VALIDATED_SET = Table(
    "validated_set",
    "one row per record and variant",
    ("provider", "seed", "item_id"),
    (
        Column("item_id", TEXT, "the variant's id, or the record's where there is no variant"),
        Column("record_id", TEXT, "identity of the record, or of the variant's source record"),
        Column("variant_id", TEXT, "identity of the variant", nullable=True),
        *PLANNED,
        *PARTITION,
        Column("label", TEXT, "the planned label"),
        *FLAW,
        Column("state", TEXT, "valid, rejected or flagged"),
        Column("reasons", NAMES, "why it is not valid, one entry per rule that says so"),
        Column(
            "verdicts",
            VERDICTS,
            "what every rule said: pass, reject, flag or not_applicable, with its reason",
        ),
        Column("text", TEXT, "the record's text field", nullable=True),
        Column("record", TEXT, "the parsed record as canonical JSON", nullable=True),
        Column("checksum", TEXT, "SHA-256 of the record's canonical JSON", nullable=True),
        Column("call_key", TEXT, "key of its completion in the call ledger", nullable=True),
        Column("offline", FLAG, "true where the offline stand-in wrote it, not an LLM"),
    ),
)
DISCRIMINATOR_SCORE = Table(
    "discriminator_score",
    "one row per slice and feature family",
    ("provider", "seed", "slice", "family"),
    (
        *PARTITION,
        Column("slice", TEXT, "which records: all, or axis=value"),
        Column("family", TEXT, "what the classifier sees: words or surface"),
        Column(
            "auc",
            REAL,
            "mean AUC over grouped folds of telling synthetic from real; 0.5 = cannot tell",
            nullable=True,
        ),
        Column("low", REAL, "lower bound of its 95 % interval", nullable=True),
        Column("high", REAL, "upper bound of its 95 % interval", nullable=True),
        Column("n_real", INT, "real examples compared"),
        Column("n_synthetic", INT, "synthetic records compared"),
        Column(
            "floor_auc", REAL, "mean AUC of telling one random half of the real examples from the other", nullable=True
        ),
        Column("n_floor", INT, "real examples in each half of the floor"),
        Column("shuffled_auc", REAL, "mean AUC after shuffling the labels of all groups", nullable=True),
        Column("limit", REAL, "the recipe's limit for the AUC"),
        Column("verdict", TEXT, "pass, fail or undecided"),
        Column("verdict_reason", TEXT, "why"),
        Column("n_needed", INT, "examples a side that would decide it", nullable=True),
        Column("giveaways", NAMES, "what gives the synthetic side away, strongest first"),
        Column("offline", FLAG, "true where an offline stand-in wrote synthetic records"),
    ),
)
FINETUNE_EXPORT = Table(
    "finetune_export",
    "one row per exported line",
    ("provider", "seed", "line_id"),
    (
        Column("line_id", TEXT, "identity of the line: format and item"),
        *PARTITION,
        Column("format", TEXT, "the export format"),
        Column("file", TEXT, "the file's path below the export's folder"),
        Column("line_number", INT, "its number in the file, from 1"),
        Column("split", TEXT, "train, validation or test"),
        Column("item_id", TEXT, "the validated item behind it"),
        Column("record_id", TEXT, "the record behind it"),
        *PLANNED,
        Column("label", TEXT, "its label"),
        Column("flaw", TEXT, "its flaw; null where there is none", nullable=True),
        Column("record_sha256", TEXT, "SHA-256 of the record behind it, as canonical JSON"),
    ),
)
MERGED_SET = Table(
    "merged_set", "one row per record and variant of any provider", VALIDATED_SET.key, VALIDATED_SET.columns
)
REFERENCE = Table(
    "reference",
    "one row per real example",
    ("example_id",),
    (
        Column("example_id", TEXT, "the user's id, or the content's hash"),
        Column("label", TEXT, "the label in the recipe's words; null where the mapping has none", nullable=True),
        Column("label_original", TEXT, "the label as it stands in the file", nullable=True),
        Column("text", TEXT, "the example's text"),
        Column("sha256", TEXT, "SHA-256 of the text"),
    ),
)

ASSET_TABLES = (
    ONTOLOGY,
    SAMPLING_PLAN,
    RAW_GENERATIONS,
    FLAWED_VARIANTS,
    VALIDATED_SET,
    DISCRIMINATOR_SCORE,
    FINETUNE_EXPORT,
)
