"""The ontology: what the recipe declares, and what of its structure a panel of models confirms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from pydantic import BaseModel, ConfigDict, Field

from synth_pipeline.contracts.errors import PermanentCallError
from synth_pipeline.contracts.identity import canonical_json, digest, seed_for
from synth_pipeline.contracts.protocols import CallRequest, Completer, State, Template
from synth_pipeline.contracts.recipe import Recipe
from synth_pipeline.contracts.rules import PlausibleRange
from synth_pipeline.contracts.tables import ONTOLOGY

ONLY_SAMPLE = "0"


class AcceptedValues(BaseModel):
    """What a member of the panel answers about an axis."""

    model_config = ConfigDict(extra="forbid")

    accepted: list[str] = Field(description="the candidates that belong, spelled as given")


@dataclass(frozen=True)
class Vote:
    """One provider's answer about one axis; `accepted` is None where it gave none, with the state and reason."""

    provider: str
    axis: str
    accepted: frozenset[str] | None
    reason: str | None = None
    state: State = "ok"


def ask_panel(recipe: Recipe, name: str, template: Template, panel: Sequence[Completer]) -> list[Vote]:
    """Return each panel member's vote on each axis that has a question.

    The questions do not depend on the partition, so that the ledger answers every later one. Where a cap leaves nobody
    to ask, there are no votes and no consensus: the facts stand as the recipe declares them.

    Raises:
        PermanentCallError: a member cannot be asked at all.
    """
    asked = {axis_name: axis for axis_name, axis in recipe.axes.items() if axis.question}
    requests = [_question(recipe, name, axis_name, template) for axis_name in asked]
    votes: list[Vote] = []
    for member in panel:
        for axis_name, result in zip(asked, member(requests, len(requests)), strict=True):
            accepted = None if result.value is None else AcceptedValues.model_validate(result.value).accepted
            votes.append(
                Vote(
                    member.provider,
                    axis_name,
                    None if accepted is None else frozenset(accepted),
                    result.reason,
                    result.state,
                )
            )
    silent = all(vote.accepted is None for vote in votes)
    if asked and silent and not any(vote.state == "out_of_budget" for vote in votes):
        raise PermanentCallError(
            f"no member of the panel answered; first reason: {votes[0].reason}",
            where="ontology",
            fix="check the panel's providers, or take the axes' questions out of the recipe",
        )
    return votes


def build_ontology(recipe: Recipe, votes: Sequence[Vote], *, provider: str, seed: int) -> pl.DataFrame:
    """Return ONTOLOGY: the recipe's facts with their sources, axis values with their votes.

    A value counts as confirmed with `panel.confirm` votes of two voters or more; a value that more than half of the
    voters deny is contradicted and stays, because the recipe pins it: the report is what changes, not the plan.
    """
    facts = [*_value_facts(recipe, votes, provider), *_parameter_facts(recipe), *_rule_facts(recipe)]
    rows = [_row(fact) | {"provider": provider, "seed": seed} for fact in facts]
    return ONTOLOGY.frame(rows)


def _question(recipe: Recipe, name: str, axis_name: str, template: Template) -> CallRequest:
    axis = recipe.axes[axis_name]
    candidates = [_spelled(value.attributes, key) for key, value in axis.values.items()]
    values = {
        "description": recipe.description,
        "axis": axis_name,
        "question": axis.question,
        "given": {"axis": axis_name, "candidates": candidates},
    }
    settings = recipe.roles.structure
    return CallRequest(
        role="structure",
        sample=f"{axis_name}:{ONLY_SAMPLE}",
        messages=template.render(values),
        record_class=AcceptedValues,
        schema_name=f"{name}__structure",
        template=template,
        temperature=settings.temperature,
        max_tokens=settings.max_tokens,
        seed=seed_for("structure", axis_name, ONLY_SAMPLE),
    )


def _spelled(attributes: Mapping[str, Any], key: str) -> str:
    """Return a value as a model would know it: its code with its name, where an attribute ends in `_name`."""
    names = [str(attributes[name]) for name in sorted(attributes) if name.endswith("_name")]
    return f"{key} ({names[0]})" if names else key


def _value_facts(recipe: Recipe, votes: Sequence[Vote], provider: str) -> list[dict[str, Any]]:
    facts = []
    for axis_name, axis in recipe.axes.items():
        answers = [vote for vote in votes if vote.axis == axis_name and vote.accepted is not None]
        for key, value in axis.values.items():
            spelled = _spelled(value.attributes, key)
            supporters = [vote.provider for vote in answers if spelled in (vote.accepted or ())]
            own = [vote for vote in answers if vote.provider == provider]
            facts.append(
                {
                    "layer": "structure",
                    "fact": "axis_value",
                    "name": axis_name,
                    "value": key,
                    "share": value.share,
                    "detail": canonical_json(value.attributes) if value.attributes else None,
                    "source": axis.source,
                    "votes": len(supporters) if axis.question else None,
                    "voters": len(answers) if axis.question else None,
                    "supporters": supporters,
                    "own_vote": (provider in supporters) if own else None,
                    "status": _status(recipe, len(supporters), len(answers)) if axis.question else "declared",
                }
            )
    return facts


def _status(recipe: Recipe, n_votes: int, n_voters: int) -> str:
    if n_votes * 2 < n_voters:
        return "contradicted"
    enough = n_votes >= recipe.panel.confirm and n_voters > 1
    return "confirmed" if enough else "no_consensus"


def _parameter_facts(recipe: Recipe) -> list[dict[str, Any]]:
    facts: list[dict[str, Any]] = []
    for index, constraint in enumerate(recipe.constraints):
        detail = {"forbid": constraint.forbid, "because": constraint.because}
        facts.append({"fact": "constraint", "name": str(index), "detail": detail, "source": constraint.source})
    for name, number in recipe.numbers.items():
        detail = number.model_dump(exclude_defaults=True, mode="json", exclude={"source"})
        for value, numbers in (number.by_value() or {"": ()}).items():
            bounds = {"low": float(numbers[0]), "high": float(numbers[-1])} if numbers else {}
            stated: dict[str, Any] = {"fact": "number", "name": name, "value": value or None, "source": number.source}
            facts.append(stated | bounds | ({} if numbers else {"detail": detail}))
    for name, quantity in recipe.quantities.items():
        low, high = quantity.healthy
        detail = {"label": quantity.label, "reported_by": quantity.reported_by}
        one: dict[str, Any] = {
            "fact": "quantity",
            "name": name,
            "value": "healthy",
            "low": low,
            "high": high,
            "detail": detail,
        }
        facts.append(one | {"source": quantity.source})
    for name, flaw in recipe.flaws.items():
        detail = {"quantity": flaw.quantity, "applies_to": flaw.applies_to, "domain": flaw.domain}
        for severity, (low, high) in flaw.sick.items():
            one = {
                "fact": "flaw",
                "name": name,
                "value": severity,
                "low": low,
                "high": high,
                "detail": detail,
            }
            facts.append(one | {"source": flaw.source})
    return facts


def _rule_facts(recipe: Recipe) -> list[dict[str, Any]]:
    facts: list[dict[str, Any]] = []
    for rule in recipe.rules:
        one = {"fact": "rule", "name": rule.name, "source": rule.source}
        if isinstance(rule, PlausibleRange):
            facts += [one | {"value": value, "low": low, "high": high} for value, (low, high) in rule.ranges.items()]
        else:
            facts.append(one | {"detail": rule.model_dump(mode="json", exclude={"source"})})
    return facts


def _row(fact: dict[str, Any]) -> dict[str, Any]:
    blank = {column.name: None for column in ONTOLOGY.columns}
    row = blank | {"layer": "parameter", "supporters": [], "status": "declared"} | fact
    if isinstance(row["detail"], dict):
        row["detail"] = canonical_json(row["detail"])
    return row | {"fact_id": digest("fact", row["fact"], row["name"], row["value"])}
