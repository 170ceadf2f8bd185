"""A little sampler of planned values, and the calls that ask for them to be written."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import synth_pipeline
from synth_pipeline.contracts.identity import rng_for
from synth_pipeline.llm.offline import Grammar, OfflineRequest, load_grammar

RECIPE = "evidence"
GRAMMAR_FILE = Path(synth_pipeline.__file__).parent / "defs" / RECIPE / "grammar.yaml"

# share, base designs, unit
METHODS: dict[str, tuple[float, list[str], str]] = {
    "psm": (0.14, ["psm"], "households"),
    "did": (0.14, ["did"], "households"),
    "iv": (0.10, ["iv"], "individuals"),
    "rdd": (0.10, ["rdd"], "applicants"),
    "rct": (0.10, ["rct"], "participants"),
    "did_matching": (0.08, ["did", "psm"], "households"),
    "scm": (0.05, ["scm"], "district-year observations"),
    "cluster_rct": (0.05, ["cluster_rct"], "households"),
    "staggered_did": (0.05, ["staggered_did"], "unit-period observations"),
    "matching_iv": (0.05, ["psm", "iv"], "firms"),
    "scm_did": (0.04, ["scm", "did"], "district-year observations"),
    "psm_did": (0.04, ["psm", "did"], "households"),
    "its_scm": (0.03, ["its", "scm"], "monthly observations"),
    "rd_iv": (0.02, ["rdd", "iv"], "applicants"),
    "staggered_did_matching": (0.01, ["staggered_did", "psm"], "unit-period observations"),
}
# base design, lowest, highest, decimals
QUANTITIES: dict[str, tuple[list[str], float, float, int]] = {
    "attrition_gap_pp": (["rct", "cluster_rct"], 0.2, 2.9, 1),
    "clusters": (["cluster_rct"], 34, 160, 0),
    "matched_share_pct": (["psm"], 75, 98, 1),
    "balance_smd": (["psm"], 0.01, 0.09, 3),
    "pretrend_p": (["did", "staggered_did"], 0.21, 0.94, 3),
    "first_stage_f": (["iv"], 25, 290, 1),
    "density_p": (["rdd"], 0.11, 0.94, 3),
    "bandwidth_n": (["rdd"], 420, 1900, 0),
    "pre_periods": (["scm"], 10, 38, 0),
    "points_each_side": (["its"], 12, 48, 0),
}
SECTORS = {
    "Health": 0.26,
    "Education": 0.25,
    "Social protection": 0.13,
    "Agriculture, fishing and forestry": 0.11,
    "Financial sector": 0.07,
    "Public administration": 0.06,
    "Water, sanitation and waste": 0.04,
    "Industry, trade and services": 0.04,
    "Energy and extractives": 0.015,
    "Information and communications technology": 0.015,
    "Transportation": 0.01,
}
OUTCOMES = {
    "economic": 0.26,
    "health": 0.20,
    "learning": 0.16,
    "behavioural": 0.14,
    "gender": 0.08,
    "governance": 0.06,
    "attitudinal": 0.05,
    "environmental": 0.05,
}
SIGNS = {"positive": 0.50, "null": 0.27, "mixed": 0.15, "negative": 0.08}
EFFECTS = {
    "percentage_points": (0.6, 24.0),
    "standard_deviations": (0.02, 0.6),
    "percent": (1.1, 58.0),
    "odds_ratio": (0.42, 2.6),
    "currency": (2.5, 380.0),
}
WORDS = {
    "economics": (110, 220),
    "structured_medical": (180, 320),
    "policy_report": (180, 320),
    "telegraphic": (110, 170),
}
COUNTRIES = [
    "India",
    "China",
    "Kenya",
    "Bangladesh",
    "Uganda",
    "Mexico",
    "Peru",
    "Nepal",
    "Haiti",
    "Timor-Leste",
]
RECORD_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "title": {"type": "string", "minLength": 15},
        "abstract": {"type": "string", "minLength": 300},
        "country": {"type": "string"},
        "sample_size": {"type": "integer", "minimum": 1},
        "study_start": {"type": "integer"},
        "study_end": {"type": "integer"},
        "publication_year": {"type": "integer"},
        "outcomes": {"type": "array", "items": {"type": "string"}, "minItems": 1},
    },
    "required": ["title", "abstract", "country", "sample_size", "study_start", "study_end", "outcomes"],
}


def grammars() -> dict[str, Grammar]:
    """Return the recipe's grammar, by recipe."""
    return {RECIPE: load_grammar(GRAMMAR_FILE)}


def planned_values(ordinal: int) -> dict[str, Any]:
    """Return the planned values of one record."""
    rng = rng_for("offline-tests", ordinal)
    method = rng.choices(list(METHODS), [share for share, _, _ in METHODS.values()])[0]
    _, designs, unit = METHODS[method]
    quantity = rng.choice([name for name, row in QUANTITIES.items() if set(row[0]) & set(designs)])
    _, low, high, decimals = QUANTITIES[quantity]
    register, metric = rng.choice(list(WORDS)), rng.choice(list(EFFECTS))
    published = rng.randint(1998, 2025)
    study_end = published - rng.randint(1, 5)
    return {
        "method": method,
        "method_name": method.replace("_", " "),
        "base_designs": designs,
        "unit": unit,
        "sector": rng.choices(list(SECTORS), list(SECTORS.values()))[0],
        "country": rng.choice(COUNTRIES),
        "income_group": rng.choice(["low", "lower-middle", "upper-middle"]),
        "fragile": rng.random() < 0.15,
        "publication_year": published,
        "study_start": study_end - rng.randint(1, 8),
        "study_end": study_end,
        "sample_size": int(10 ** rng.uniform(2.3, 5.5)),
        "outcome": rng.choices(list(OUTCOMES), list(OUTCOMES.values()))[0],
        "sign": rng.choices(list(SIGNS), list(SIGNS.values()))[0],
        "register": register,
        "effect_metric": metric,
        "effect_size": round(rng.uniform(*EFFECTS[metric]), 2),
        "words": rng.randint(*WORDS[register]),
        "quantity": quantity,
        "quantity_label": quantity.replace("_", " "),
        "healthy_value": f"{rng.uniform(low, high):.{decimals}f}",
    }


def ask(
    given: Mapping[str, Any], role: str = "write", schema: Mapping[str, Any] = RECORD_SCHEMA, seed: int = 1
) -> OfflineRequest:
    """Return the request that gives `given` in a json block."""
    prompt = f"Please answer.\n\n```json\n{json.dumps(given)}\n```\n"
    name = {"json_schema": {"name": f"{RECIPE}__{role}", "schema": schema}}
    return OfflineRequest.from_params([{"role": "user", "content": prompt}], {"response_format": name, "seed": seed})
