"""The caps that a plan would meet, and whether it stays below them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from synth_pipeline.components.budgets import make_spender
from synth_pipeline.components.figures import amount, dollars
from synth_pipeline.contracts.spending import Budget, Cap, Cost, Scope
from synth_pipeline.llm.forecast import Forecast
from synth_pipeline.llm.ledger.changes import fits

Verdict = Literal["fits", "may not fit", "does not fit"]
ADVICE: dict[Verdict, str] = {
    "fits": "fits, also at worst",
    "may not fit": "fits as expected, not at worst",
    "does not fit": "does not fit; the run would stop at it, and go on from there under a higher one",
}
PLANNED_RUN = "planned"
NOTHING = Cost(0, 0)


@dataclass(frozen=True)
class CapReport:
    """One cap: what it allows, what has been spent of it, what would come.

    Args:
        scope: what it caps: a run, a partition or a recipe.
        max_cost_usd: its dollars; None: no cap on them.
        max_tokens: its tokens; None: no cap on them.
        spent: so far.
        expected: what would come.
        verdict: `fits`; `may not fit` where only the worst case does not; or `does not fit`.
    """

    scope: str
    max_cost_usd: float | None
    max_tokens: int | None
    spent: Cost
    expected: Cost
    verdict: Verdict

    def as_dict(self) -> dict[str, Any]:
        """Return it as plain values; costs in US dollars and tokens."""
        costs = {"spent": self.spent, "expected": self.expected}
        plain = {f"{name}_usd": cost.usd for name, cost in costs.items()}
        plain |= {f"{name}_tokens": cost.tokens for name, cost in costs.items()}
        limits = {"max_cost_usd": self.max_cost_usd, "max_tokens": self.max_tokens}
        return {"scope": self.scope, **limits, **plain, "verdict": self.verdict}

    def __str__(self) -> str:
        """Return it as a line."""
        told = []
        if self.max_cost_usd is not None:
            spent, expected = dollars(self.spent.usd), dollars(self.expected.usd)
            told.append(f"{dollars(self.max_cost_usd)}, {spent} spent, {expected} to come")
        if self.max_tokens is not None:
            n_spent, n_expected = amount(self.spent.tokens), amount(self.expected.tokens)
            told.append(f"{amount(self.max_tokens)} tokens, {n_spent} spent, {n_expected} to come")
        return f"cap of {self.scope}: {'; '.join(told)}: {ADVICE[self.verdict]}"


@dataclass(frozen=True)
class CapPlan:
    """Whose caps are looked at.

    Args:
        recipe: the recipe's name.
        budget: the recipe's.
        cap: the run's own.
        providers: who would write, in order; the first one's partition also pays the panel.
        seed: the partitions' seed.
    """

    recipe: str
    budget: Budget
    cap: Cap
    providers: Sequence[str]
    seed: int

    def scopes(self) -> dict[str, tuple[Scope, Sequence[str] | None]]:
        """Return each scope by its name, with the providers that spend of it; None: all."""
        found: dict[str, tuple[Scope, Sequence[str] | None]] = {}
        for provider in self.providers:
            spender = make_spender(self.recipe, f"{provider}|{self.seed}", PLANNED_RUN, self.budget, self.cap)
            run, partition, recipe = spender.scopes
            found |= {run.name: (run, None), partition.name: (partition, [provider]), recipe.name: (recipe, None)}
        return found


def report_caps(plan: CapPlan, stages: Sequence[Forecast], spent: Mapping[str, Cost]) -> tuple[CapReport, ...]:
    """Return what each cap says to the stages' forecasts; scopes without a cap are left out.

    Args:
        plan: whose caps.
        stages: what would be bought.
        spent: what each scope has spent so far; a scope that is not named has spent nothing.
    """
    reports = []
    for name, (scope, payers) in plan.scopes().items():
        if scope.cap == Cap():
            continue
        bought = [stage for stage in stages if payers is None or _pays(plan, stage, payers)]
        reports.append(_report(scope, spent.get(name, NOTHING), bought))
    return tuple(reports)


def _pays(plan: CapPlan, stage: Forecast, payers: Sequence[str]) -> bool:
    return (plan.providers[0] if stage.stage == "structure" else stage.provider) in payers


def _report(scope: Scope, spent: Cost, bought: Sequence[Forecast]) -> CapReport:
    expected = _sum(stage.expected for stage in bought)
    worst = _sum(stage.worst for stage in bought)
    verdict: Verdict = "fits"
    if any(stage.n_to_buy for stage in bought) and not fits(scope.cap, spent, worst):
        verdict = "may not fit" if fits(scope.cap, spent, expected) else "does not fit"
    named = "this run" if scope.name.startswith("run:") else scope.name.replace(":", " ")
    return CapReport(named, scope.cap.max_cost_usd, scope.cap.max_tokens, spent, expected, verdict)


def _sum(costs: Iterable[Cost]) -> Cost:
    listed = list(costs)
    return Cost(sum(cost.nano_usd for cost in listed), sum(cost.tokens for cost in listed))
