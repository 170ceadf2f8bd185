"""What the terminal shows while a run works, and its tables afterwards."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bar
from rich.table import Table

from synth_pipeline.components.models import LogProgress
from synth_pipeline.contracts.protocols import Progress


class ConsoleProgress:
    """A bar with done of planned, time left, dollars spent now and completions found in the ledger."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar: Bar | None = None
        self._task = TaskID(0)

    def start(self, total: int, label: str) -> None:
        """Show an empty bar."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        spent = TextColumn("${task.fields[cost_usd]:.4f} spent, {task.fields[n_replayed]} from the ledger")
        self._bar = Bar(*columns, TimeRemainingColumn(), spent, console=self._console)
        self._task = self._bar.add_task(label, total=total, cost_usd=0.0, n_replayed=0)
        self._bar.start()

    def advance(self, *, cost_usd: float, n_replayed: int) -> None:
        """Move the bar by one."""
        if self._bar:
            self._bar.update(self._task, advance=1, cost_usd=cost_usd, n_replayed=n_replayed)

    def finish(self) -> None:
        """Leave the bar as it stands."""
        if self._bar:
            self._bar.stop()


class ConsoleReporter:
    """Reports to the terminal: a bar where it is one, lines where it is a file or a pipe."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def for_log(self, _say: Callable[[str], None]) -> Progress:
        """Return the progress; the run's own log is not written to."""
        if self._console.is_terminal:
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
        table.add_row(*(escape(show(row.get(name))) for name in names))
    return table


def show(value: Any) -> str:
    """Return a value as a cell shows it."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.3f}"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
