"""What the terminal shows while a run works, and its tables afterwards."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.markup import escape
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from synth_pipeline.components.figures import dollars, duration, rate
from synth_pipeline.components.progress import LogProgress, Speedometer, facts
from synth_pipeline.contracts.protocols import Progress, Tally

REFRESHES_PER_S, INDENT = 4, 2
SEPARATOR = "; "


class StageView:
    """One stage as the terminal shows it: a bar with done of planned, speed and time left, and its facts below.

    It looks at the tally whenever it is drawn.

    Args:
        label: what is done.
        tally: the stage's.
        clock: seconds, ever growing.
    """

    def __init__(self, label: str, tally: Tally, clock: Callable[[], float] = time.monotonic) -> None:
        self._label, self._tally, self._clock = label, tally, clock
        self._meter = Speedometer(tally, clock())
        self.ended = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Return the bar's line, and the facts in as many whole lines as the width asks for."""
        tally, now = self._tally, self._clock()
        speed = self._meter.mean(tally, now) if self.ended else self._meter.read(tally, now)
        left = "" if speed.left_s is None else f"{duration(speed.left_s)} left"
        when = f"in {duration(speed.elapsed_s)}" if self.ended else left
        told = (f"{tally.done:,}/{tally.total:,}", rate(speed.per_s), when)
        row = Table.grid(padding=(0, 1), expand=True)
        row.add_column(no_wrap=True, overflow="ellipsis", max_width=options.max_width // 3)
        row.add_column(ratio=1, min_width=4)
        for _ in told:
            row.add_column(no_wrap=True, justify="right")
        bar = ProgressBar(total=max(tally.total, 1), completed=tally.done)
        row.add_row(Text(self._label), bar, *map(Text, told))
        yield row
        for line in pack(facts(tally), options.max_width - INDENT):
            yield Padding(Text(line, style="dim"), (0, 0, 0, INDENT), expand=False)


def pack(parts: Iterable[str], width: int) -> list[str]:
    """Return the parts in lines of at most `width` characters, broken between parts only."""
    lines: list[str] = []
    for part in parts:
        if lines and len(lines[-1]) + len(SEPARATOR) + len(part) <= width:
            lines[-1] += SEPARATOR + part
        else:
            lines.append(part)
    return lines


class ConsoleProgress:
    """Shows a stage's view in the terminal, drawn anew four times a second whatever happens meanwhile."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._view: StageView | None = None
        self._live: Live | None = None

    def start(self, label: str, tally: Tally) -> None:
        """Show the view."""
        if tally.total:
            self._view = StageView(label, tally)
            self._live = Live(self._view, console=self._console, refresh_per_second=REFRESHES_PER_S)
            self._live.start(refresh=True)

    def update(self, tally: Tally) -> None:
        """Do nothing: the view looks at the tally by itself."""

    def finish(self, tally: Tally) -> None:
        """Leave the view as it stands at the end."""
        if self._live and self._view:
            self._view.ended = True
            self._live.stop()
            self._live = None


class ConsoleReporter:
    """Reports to the terminal: a bar where it is one, lines where it is a file or a pipe."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def for_log(self, _say: Callable[[str], None]) -> Progress:
        """Return the progress; the run's own log is not written to."""
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            return ConsoleProgress(self._console)
        return LogProgress(lambda line: self._console.print(escape(line), highlight=False, soft_wrap=True))


def make_table(title: str, rows: Sequence[Mapping[str, Any]], columns: Iterable[str]) -> Table:
    """Return a table of `rows`; what stands in cells is text, never markup."""
    names = list(columns)
    table = Table(title=escape(title), title_justify="left", header_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for name in names:
        table.add_column(
            name,
            overflow="fold",
            justify="right" if rows and isinstance(rows[0].get(name), int | float) else "left",
        )
    for row in rows:
        table.add_row(*(escape(_cell(name, row.get(name))) for name in names))
    return table


def _cell(name: str, value: Any) -> str:
    return dollars(value) if name.endswith("_usd") and isinstance(value, int | float) else show(value)


def show(value: Any) -> str:
    """Return a value as a cell shows it."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
