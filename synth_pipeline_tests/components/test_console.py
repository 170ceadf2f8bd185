from collections import Counter
from io import StringIO

import pytest
from rich.console import Console

from synth_pipeline.components.console import ConsoleProgress, ConsoleReporter, StageView, make_table, pack
from synth_pipeline.components.progress import LogProgress
from synth_pipeline.contracts.protocols import Tally

BUSY = Tally(
    total=100_000,
    done=61_312,
    n_bought=41_312,
    n_replayed=20_000,
    in_flight=128,
    cost_usd=61.312,
    tokens_in=31_200_000,
    tokens_out=9_360_000,
    retries=Counter(timeout=1, rate_limit=1234, server_error=17, connection=3),
    states=Counter(ok=61_300, refused=9, cut_off=3),
    notice="anna is paused for 30 s: 12 calls failed in a row, the last with 503 (the service is overloaded)",
)


def draw(tally: Tally, width: int, *, after_s: float = 60, ended: bool = False) -> list[str]:
    """Return the lines of a stage's view some time after its start."""
    times = iter([0.0, after_s])
    begun = Tally(total=tally.total)
    view = StageView("a-provider-with-a-long-name: write", begun, lambda: next(times))
    begun.__dict__.update(tally.__dict__)
    view.ended = ended
    console = Console(width=width, force_terminal=True, color_system=None, file=StringIO())
    with console.capture() as capture:
        console.print(view)
    return [line.rstrip() for line in capture.get().splitlines()]


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_a_view_fits_the_terminal_and_loses_no_fact(width: int) -> None:
    lines = draw(BUSY, width)
    assert max(map(len, lines)) <= width
    below = " ".join(" ".join(lines[1:]).split())
    for fact in ("128 in flight", "$61.31 spent, about $", "31.20M tokens in, 9.36M out", "20,000 from the ledger"):
        assert fact in below
    assert "retries: rate_limit 1,234, server_error 17, connection 3, timeout 1" in below
    assert "not ok: refused 9, cut_off 3" in below
    assert "503 (the service is overloaded)" in below


def test_at_eighty_columns_the_first_line_has_done_speed_and_time_left() -> None:
    first = draw(Tally(total=500, done=312, n_bought=312), 80, after_s=26)[0]
    assert first.startswith("a-provider-with-a-long-na… ━━━")
    assert first.endswith(" 312/500 12.0/s 16 s left")


def test_a_view_that_has_ended_says_how_long_it_took() -> None:
    assert draw(Tally(total=60, done=60, n_replayed=60), 80, ended=True)[0].endswith(" 60/60 1.0/s in 1 min 00 s")


def test_facts_are_broken_between_each_other_only() -> None:
    assert pack(["one two", "three", "four five six seven"], 14) == ["one two; three", "four five six seven"]


def test_the_terminal_shows_a_stage_from_start_to_end() -> None:
    file = StringIO()
    progress = ConsoleProgress(Console(width=80, force_terminal=True, color_system=None, file=file))
    tally = Tally(total=5)
    progress.start("anna: write", tally)
    tally.done = tally.n_bought = 5
    tally.cost_usd = 0.05
    progress.update(tally)
    progress.finish(tally)
    assert "0/5" in file.getvalue()
    last = file.getvalue()[file.getvalue().rindex("anna: write") :]
    assert "5/5" in last
    assert "$0.0500 spent" in last


def test_finishing_what_never_began_is_no_fault() -> None:
    ConsoleProgress(Console(force_terminal=True, file=StringIO())).finish(Tally())


def test_a_pipe_gets_lines_and_a_terminal_a_view() -> None:
    file = StringIO()
    piped = ConsoleReporter(Console(file=file)).for_log(lambda _line: None)
    assert isinstance(piped, LogProgress)
    piped.start("anna: write [0]", Tally(total=7))
    assert file.getvalue() == "anna: write [0]: 7 calls\n"
    seen = ConsoleReporter(Console(file=StringIO(), force_terminal=True)).for_log(lambda _line: None)
    assert isinstance(seen, ConsoleProgress)


def test_columns_of_dollars_are_written_as_dollars() -> None:
    console = Console(width=80, file=StringIO())
    with console.capture() as capture:
        console.print(
            make_table("Costs", [{"cost_usd": 0.00042, "auc": 0.5, "each_usd": None}], ("cost_usd", "auc", "each_usd"))
        )
    assert capture.get().splitlines()[-2].split() == ["$0.00042", "0.500", "-"]
