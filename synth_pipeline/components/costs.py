"""What records cost by stage, for each one written and each one valid, and what choosing a model by role has saved."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any

from synth_pipeline.components.figures import dollars
from synth_pipeline.contracts.providers import Price
from synth_pipeline.contracts.spending import cost_of

STRUCTURE, WRITE, FLAW = "structure", "write", "flaw"
COST_COLUMNS = (
    *("stage", "n_calls", "tokens_in", "tokens_out", "cost_usd"),
    *("n_written", "per_written_usd", "n_valid", "per_valid_usd", "write_model_usd"),
)


@dataclass(frozen=True)
class Usage:
    """Completions that a stage bought from one model of a provider; the model is None where it is not on record."""

    stage: str
    provider: str
    model: str | None
    n_calls: int
    tokens_in: int
    tokens_out: int
    cost_usd: float


@dataclass(frozen=True)
class Made:
    """What came of a stage: records or twins written, and those of them that are valid."""

    n_written: int
    n_valid: int


@dataclass(frozen=True)
class WriteModel:
    """A provider's model for writing, its most capable one, and its price."""

    name: str
    price: Price


@dataclass(frozen=True)
class StageCost:
    """What a stage has cost, whenever it was bought.

    Args:
        stage: the role, or `all`.
        n_calls: completions bought.
        tokens_in: prompt tokens.
        tokens_out: completion tokens.
        cost_usd: US dollars.
        n_written: records or twins that it wrote; all of them where a stage writes none itself.
        n_valid: those of them that are valid.
        write_model_usd: what its tokens would have cost with the write role's model; None where no price is known.
    """

    stage: str
    n_calls: int
    tokens_in: int
    tokens_out: int
    cost_usd: float
    n_written: int
    n_valid: int
    write_model_usd: float | None

    @property
    def per_written_usd(self) -> float | None:
        """US dollars for each one written; None where there is none."""
        return self.cost_usd / self.n_written if self.n_written else None

    @property
    def per_valid_usd(self) -> float | None:
        """US dollars for each valid one; None where there is none."""
        return self.cost_usd / self.n_valid if self.n_valid else None

    def as_dict(self) -> dict[str, Any]:
        """Return the figures by name."""
        return {**asdict(self), "per_written_usd": self.per_written_usd, "per_valid_usd": self.per_valid_usd}


@dataclass(frozen=True)
class CostReport:
    """What records cost by stage, and in all."""

    stages: tuple[StageCost, ...]
    whole: StageCost

    @property
    def free(self) -> bool:
        """Whether nothing was paid, and nothing would have been with the write model."""
        return self.whole.cost_usd == 0 and not self.whole.write_model_usd

    @property
    def saved_share(self) -> float | None:
        """The share that cheaper models saved, of the cost with the write model; None where that is not known."""
        throughout = self.whole.write_model_usd
        return 1 - self.whole.cost_usd / throughout if throughout else None

    def as_dict(self) -> dict[str, Any]:
        """Return the figures of each stage and of all, the share saved, and whether all was free."""
        rows = {cost.stage: cost.as_dict() for cost in (*self.stages, self.whole)}
        return {"stages": rows, "saved_share": self.saved_share, "free": self.free}

    def rows(self) -> list[dict[str, Any]]:
        """Return a table's rows, one a stage and one for all; columns are COST_COLUMNS."""
        return [cost.as_dict() for cost in (*self.stages, self.whole)] if self.stages else []

    def lines(self) -> list[str]:
        """Return in words what a valid record costs and what was saved."""
        if not self.stages:
            return []
        if self.free:
            return ["costs: free; these providers cost nothing"]
        return [*self._spent(), *self._saved()]

    def _spent(self) -> list[str]:
        whole = self.whole
        each = whole.per_valid_usd
        told = "" if each is None else f", {dollars(each)} for each of {whole.n_valid:,} valid records and twins"
        panel = sum(cost.cost_usd for cost in self.stages if cost.stage == STRUCTURE)
        shared = f"of that {dollars(panel)} for the panel, which is asked once for all partitions of the recipe"
        return [f"costs: {dollars(whole.cost_usd)}{told}", *([shared] if panel else [])]

    def _saved(self) -> list[str]:
        share, throughout = self.saved_share, self.whole.write_model_usd
        if share is None or throughout is None:
            return []
        by_role = f"has saved {share:.0%}" if share >= 0 else f"has cost {-share:.0%} more"
        return [f"with the write role's model throughout: {dollars(throughout)}; choosing a model by role {by_role}"]


def costs_by_stage(
    usages: Iterable[Usage], made: Mapping[str, Made], write_models: Mapping[str, WriteModel]
) -> CostReport:
    """Return what each stage has cost, and what its tokens would have cost with the write role's model.

    A completion of the write model itself counts with what was paid for it. No stage is counted twice, however often
    its completions were read from the ledger again.

    Args:
        usages: what was bought; each completion once.
        made: what the stages that write came to; the others are held against all of it.
        write_models: by provider.
    """
    by_stage: dict[str, list[Usage]] = {stage: [] for stage in (STRUCTURE, WRITE, FLAW)}
    for usage in usages:
        by_stage.setdefault(usage.stage, []).append(usage)
    whole = Made(sum(one.n_written for one in made.values()), sum(one.n_valid for one in made.values()))
    stages = tuple(
        _stage_cost(stage, used, made.get(stage, whole), write_models) for stage, used in by_stage.items() if used
    )
    return CostReport(stages, _stage_cost("all", [*chain.from_iterable(by_stage.values())], whole, write_models))


def _stage_cost(stage: str, usages: list[Usage], made: Made, write_models: Mapping[str, WriteModel]) -> StageCost:
    throughout = [_with_write_model(usage, write_models.get(usage.provider)) for usage in usages]
    known = [cost for cost in throughout if cost is not None]
    return StageCost(
        stage=stage,
        n_calls=sum(usage.n_calls for usage in usages),
        tokens_in=sum(usage.tokens_in for usage in usages),
        tokens_out=sum(usage.tokens_out for usage in usages),
        cost_usd=sum(usage.cost_usd for usage in usages),
        n_written=made.n_written,
        n_valid=made.n_valid,
        write_model_usd=sum(known) if len(known) == len(throughout) else None,
    )


def _with_write_model(usage: Usage, model: WriteModel | None) -> float | None:
    if model is None:
        return None
    return usage.cost_usd if usage.model == model.name else cost_of(model.price, usage.tokens_in, usage.tokens_out).usd
