"""Our own client: the stage `write_records` over a real plan, through the completer and a ledger on disk."""

import os
from contextlib import closing
from pathlib import Path

import polars as pl
import yaml

import synth_pipeline
from generation_parts.jobs import LITELLM_MODEL, MODEL, USD_PER_MTOK_IN, USD_PER_MTOK_OUT, Figures, Job
from generation_parts.weighing import HELD, memory_mb
from synth_pipeline.contracts.protocols import Tally
from synth_pipeline.contracts.providers import Price, Provider
from synth_pipeline.contracts.recipe import Recipe
from synth_pipeline.contracts.spending import Cap, Scope, Spender
from synth_pipeline.contracts.tables import RAW_GENERATIONS
from synth_pipeline.llm.client import LedgeredCompleter, Office
from synth_pipeline.llm.ledger import Ledger
from synth_pipeline.llm.prompts import find_prompts_folder, load_template
from synth_pipeline.stages.generation import write_records
from synth_pipeline.stages.sampling import plan_records

RECIPE = "evidence"
FOLDER = Path(synth_pipeline.__file__).parent / "defs" / RECIPE
GRAMMAR = FOLDER / "grammar.yaml"
BASE_URL, TIMEOUT_S = "SYNTH_BENCH_BASE_URL", 60.0


class Silent:
    """A progress that shows nothing."""

    def start(self, label: str, tally: Tally) -> None:
        """Begin."""

    def update(self, tally: Tally) -> None:
        """Something has changed."""

    def finish(self, tally: Tally) -> None:
        """The calls have ended."""


class Stage:
    """The recipe and its write template."""

    def __init__(self) -> None:
        declared = yaml.safe_load((FOLDER / "defs.yaml").read_text(encoding="utf-8"))
        self.recipe = Recipe.model_validate(declared["attributes"])
        self.template = load_template(find_prompts_folder(), RECIPE, "write")
        self.record_class = self.recipe.record.record_class(f"{RECIPE}_record")

    def plan(self, job: Job) -> pl.DataFrame:
        """Return the plan of a job."""
        return plan_records(self.recipe, RECIPE, provider=MODEL, seed=job.seed, n=job.n)


class Ours:
    """The stage, from an empty ledger to its frame."""

    def __init__(self, job: Job) -> None:
        os.environ[BASE_URL] = job.base_url
        self._job, self._stage = job, Stage()
        before = memory_mb(HELD)
        self._plan = pl.read_parquet(
            job.plan_file
        )  # made elsewhere: what making it leaves behind would hide what we take
        self._plan_mb = memory_mb(HELD) - before
        self._frame, self._tally = pl.DataFrame(), Tally()

    def do(self) -> None:
        """Make the calls."""
        job, stage = self._job, self._stage
        with closing(Ledger.open(f"sqlite:///{job.ledger_file}")) as ledger:
            completer = LedgeredCompleter(provider_row(job), Office(ledger, spender(job), Silent()))
            self._frame = write_records(self._plan, stage.recipe, RECIPE, stage.template, completer)
        self._tally = completer.tally

    def tell(self) -> Figures:
        """Return the records by state, what was bought, and how large the frame is."""
        frame, tally = self._frame, self._tally
        states = dict(frame["state"].value_counts().iter_rows())
        return {
            "n_ok": states.get("ok", 0),
            "states": states,
            "n_rows": frame.height,
            "n_ids": frame["planned_id"].n_unique(),
            "n_bought": tally.n_bought,
            "n_replayed": tally.n_replayed,
            "retries": dict(tally.retries),
            "cost_usd": tally.cost_usd,
            "plan_mb": self._plan_mb,
            "frame_bytes_mb": frame.estimated_size() / 2**20,
            "frame_mb": weigh(frame) if self._job.weigh else None,
        }


def weigh(frame: pl.DataFrame) -> float:
    """Return by how many MB the process grows for one more frame of these rows, made as the stage makes it.

    A first one fills what is free in the process.
    """
    first = RAW_GENERATIONS.frame(frame.iter_rows(named=True))
    before = memory_mb(HELD)
    second = RAW_GENERATIONS.frame(frame.iter_rows(named=True))
    assert first.height == second.height
    return memory_mb(HELD) - before


def provider_row(job: Job) -> Provider:
    """Return the row of a server of one's own; it has a price where the job has a cap."""
    price = Price(usd_per_mtok_in=USD_PER_MTOK_IN, usd_per_mtok_out=USD_PER_MTOK_OUT)
    return Provider(
        name=MODEL,
        family=MODEL,
        models={"default": LITELLM_MODEL},
        free=job.cap_usd is None,
        prices={} if job.cap_usd is None else {LITELLM_MODEL: price},
        api_base_env=BASE_URL,
        max_concurrency=job.concurrency,
        timeout_s=TIMEOUT_S,
    )


def spender(job: Job) -> Spender:
    """Return who buys: a run of a partition, both counted, under the recipe's cap."""
    partition, cap = f"{MODEL}|{job.seed}", Cap(max_cost_usd=job.cap_usd)
    scopes = (
        Scope(f"run:{job.name}", Cap()),
        Scope(f"partition:{RECIPE}|{partition}", Cap()),
        Scope(f"recipe:{RECIPE}", cap),
    )
    return Spender(job.name, partition, RECIPE, scopes)
