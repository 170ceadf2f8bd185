"""Whoever dies while writing, every partition holds exactly one whole write."""

import multiprocessing
import os
import signal
import time
from multiprocessing.context import ForkServerProcess
from multiprocessing.synchronize import Event
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from synth_pipeline.components.io_managers import TableSlice, replace_rows
from synth_pipeline.components.store import DuckDBStore
from synth_pipeline.contracts.identity import rng_for
from synth_pipeline.contracts.tables import INT, TEXT

SOAK = int(os.environ.get("SYNTH_SOAK", "1"))
RECIPE, TABLE = "evidence", "raw_generations"
SPAWNING = multiprocessing.get_context("forkserver")
WRITERS = tuple(f"writer{n}" for n in range(10))
N_GENERATIONS, ENDLESS = 2, 100_000
FEW_ROWS, MANY_ROWS = 4_000, 100_000
N_KILLS = 4


def generation_of(writer: str, generation: int, n_rows: int) -> pl.DataFrame:
    """A partition that names its write in each row, and is as long as no other of its writes."""
    text = pl.lit(f"{writer} in generation {generation} writes row ") + pl.int_range(n_rows + generation).cast(TEXT)
    columns = {"provider": pl.lit(writer), "seed": pl.lit(0, INT), "generation": pl.lit(generation, INT)}
    return pl.select(text=text).with_columns(**columns)


def write_generations(database: str, writer: str, last: int, n_rows: int, begun: Event) -> None:
    """Replace one partition by one generation after the other: the work of a process of its own."""
    for generation in range(1, last + 1):
        frame = generation_of(writer, generation, n_rows)
        part = TableSlice(RECIPE, TABLE, ("provider", "seed"), ((writer, "0"),))
        replace_rows(DuckDBStore(database=database), part, frame)
        begun.set()


def started(database: str, writer: str, last: int, n_rows: int) -> tuple[ForkServerProcess, Event]:
    """A process that writes, and the event of its first generation."""
    begun = SPAWNING.Event()
    job = (database, writer, last, n_rows, begun)
    process = SPAWNING.Process(target=write_generations, args=job, daemon=True)
    process.start()
    return process, begun


def assert_one_whole_generation(store: DuckDBStore, writer: str, n_rows: int, last: int | None = None) -> None:
    partition = store.read(RECIPE, TABLE, {"provider": writer, "seed": 0})
    assert partition.height > 0
    generation = partition["generation"][0]
    assert last in {None, generation}
    assert_frame_equal(partition, generation_of(writer, generation, n_rows), check_column_order=False)


@pytest.fixture
def store(tmp_path: Path) -> DuckDBStore:
    return DuckDBStore(database=str(tmp_path / "synth.duckdb"))


@pytest.fixture
def _spawning(monkeypatch: pytest.MonkeyPatch) -> None:
    """New processes find this module, imported once for all of them."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    SPAWNING.set_forkserver_preload([__name__, "pyarrow"])


@pytest.mark.soak
@pytest.mark.usefixtures("_spawning")
@pytest.mark.parametrize("repeat", range(SOAK))
def test_a_writer_killed_among_ten_loses_and_doubles_nothing(store: DuckDBStore, repeat: int) -> None:
    victim, *others = WRITERS
    process, begun = started(store.database, victim, ENDLESS, FEW_ROWS)
    running = {writer: started(store.database, writer, N_GENERATIONS, FEW_ROWS) for writer in others}
    assert begun.wait(timeout=120)
    time.sleep(rng_for("kill among ten", repeat).uniform(0, 0.3))
    process.kill()
    process.join(timeout=120)
    for other, _ in running.values():
        other.join(timeout=120)
    assert process.exitcode == -signal.SIGKILL
    assert {writer: other.exitcode for writer, (other, _) in running.items()} == dict.fromkeys(others, 0)

    assert_one_whole_generation(store, victim, FEW_ROWS)
    for writer in others:
        assert_one_whole_generation(store, writer, FEW_ROWS, N_GENERATIONS)
    write_generations(store.database, victim, 1, FEW_ROWS, SPAWNING.Event())
    assert_one_whole_generation(store, victim, FEW_ROWS, 1)
    assert store.read(RECIPE, TABLE, {}).height == 10 * FEW_ROWS + len(others) * N_GENERATIONS + 1


@pytest.mark.soak
@pytest.mark.usefixtures("_spawning")
@pytest.mark.parametrize("repeat", range(SOAK))
def test_a_writer_killed_at_any_moment_leaves_one_whole_generation(store: DuckDBStore, repeat: int) -> None:
    moments = rng_for("kill at any moment", repeat)
    for _ in range(N_KILLS):
        process, begun = started(store.database, "writer0", ENDLESS, MANY_ROWS)
        assert begun.wait(timeout=120)
        time.sleep(moments.uniform(0, 0.4))
        process.kill()
        process.join(timeout=120)
        assert_one_whole_generation(store, "writer0", MANY_ROWS)
