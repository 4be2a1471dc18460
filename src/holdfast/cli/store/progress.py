"""A progress bar on stderr for work whose amount shows as it goes on; with rates, and only for people."""

from types import TracebackType
from typing import Final, Self

from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from holdfast.cli.output import Output

__all__ = ("Bar",)


class Rate(ProgressColumn):
    """How many a second."""

    def render(self, task: Task) -> Text:
        """Return the rate as it is now."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.0f}/s", style="dim")


class Bar:
    """Use it as `with`, and hand its `tell` to a tool: each stage has a line, and expects as many as the one before."""

    def __init__(self, output: Output) -> None:
        self._progress: Final = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            Rate(),
            console=output.err,
            transient=True,
            disable=not output.to_people,
        )
        self._stages: dict[str, TaskID] = {}
        self._most = 0.0

    def tell(self, stage: str, amount: int) -> None:
        """Take that so many more are done at a stage."""
        if stage not in self._stages:
            total = self._most or None
            self._stages[stage] = self._progress.add_task(stage, total=total)
        self._progress.advance(self._stages[stage], amount)
        self._most = max(self._most, *(task.completed for task in self._progress.tasks))

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
