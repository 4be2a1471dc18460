"""`holdfast conform`: does a backend keep what it claims? A line a check, a level at a time."""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Annotated, Final

from cyclopts import Parameter
from msgspec import to_builtins
from rich.text import Text

from holdfast.cli import codes
from holdfast.cli.options import Json, flag
from holdfast.cli.output import Output
from holdfast.errors import HoldfastError, InvalidOption
from holdfast.testing.conformance.checks import Check, Level
from holdfast.testing.conformance.examining import NORMAL, QUICK, THOROUGH, Report, Result, examine
from holdfast.testing.conformance.target import at

__all__ = ("conform",)

STYLES: Final = {"kept": "green", "broken": "bold red", "not shown": "yellow", "does not apply": "dim"}
WIDTH: Final = 28
UNTRIED: Final = ": the kit knows of no folder or server of its own that it could cut the power of"


def conform(
    target: Annotated[
        str,
        Parameter(
            help="A store's URL, a module:Class of four methods or module:callable that returns a Store, or one of "
            "memory, file, adapter, sqlite, redis, postgres, mongo, which bring their own place or server."
        ),
    ],
    /,
    *,
    level: Annotated[
        list[Level] | None, Parameter(negative="", help="A level to check, and no other; repeatable.")
    ] = None,
    check: Annotated[
        list[str] | None, Parameter(negative="", help="A check by name, and no other; repeatable.")
    ] = None,
    seed: Annotated[int, Parameter(help="What all that is random is drawn from.")] = 0,
    quick: Annotated[bool, flag("A few tries of each.")] = False,
    thorough: Annotated[bool, flag("Many tries of each: minutes.")] = False,
    json: Json = False,
) -> int:
    """Examine a backend, your own too: what it claims is proved or refuted, level by level.

    Levels: core, atomic, concurrent, crash-safe, power-safe, fault-tolerant. A check that this machine cannot make is
    not shown, and never passed. Give it a place of its own: it writes in namespaces `conform-…`, and a server keeps
    them, as a third party's store does; files are made beside what a URL of files names, and removed.

    --json prints an object a line: each `check` with its name, level, promise, state (kept, broken, not shown, does
    not apply), said, history, counts, seed and seconds; last a `summary` with subject, sound, levels, seed,
    durability, real and not_tried (levels that its durability would claim, and that there is no check of it for).

    Exit codes: 0 every level claimed holds, and core, atomic and crash-safe were claimed; 1 otherwise; 2 it could not
    be examined.

    Example: `holdfast conform sqlite:///state.db --quick`
    """
    if quick and thorough:
        raise InvalidOption("--quick and --thorough exclude each other")
    output = Output(json=json)
    pace = QUICK if quick else THOROUGH if thorough else NORMAL
    try:
        with at(target) as subject, _Telling(output) as telling:
            report = examine(
                subject, levels=level, only=check or (), seed=seed, pace=pace, tell=telling.tell, begin=telling.begin,
            )  # fmt: skip
    except HoldfastError as error:  # a store that is out of reach, too, has not been examined
        output.error(str(error), kind=type(error).__name__)
        return codes.COULD_NOT_RUN
    _conclude(report, output)
    return codes.DONE if report.sound else codes.FOUND


class _Telling:
    """Prints each result as it comes, and on a terminal what is being checked."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._status = output.err.status("") if output.to_people else None
        self._level: Level | None = None

    def begin(self, check: Check) -> None:
        """Show what is being checked."""
        if self._status is not None:
            self._status.update(f"{check.level} {check.name}")

    def tell(self, result: Result) -> None:
        """Print a result: a line, and the history that shows what broke."""
        if result.level is not self._level:
            self._level = result.level
            self._output.say(Text(result.level.value, style="bold"))
        self._output.record("check", to_builtins(result))
        self._output.say(_line(result))
        for line in (*result.history, *([f"(seed {result.seed})"] if result.state == "broken" else [])):
            self._output.say(Text(f"{'':18}{line}", style="dim"))

    def __enter__(self) -> "_Telling":
        (self._status or nullcontext()).__enter__()
        return self

    def __exit__(self, *details: object) -> None:
        if self._status is not None:
            self._status.stop()


def _line(result: Result) -> Text:
    tried = ", ".join(f"{count:,} {name}" for name, count in result.counts.items())
    why = result.said.partition("\n")[0]
    said = f"{result.promise}: {why}" if why else result.promise
    parts: Sequence[tuple[str, str]] = [
        (f"  {result.state:<16}", STYLES[result.state]), (f"{result.name:<{WIDTH}}", ""),
        (said, "dim" if result.state == "does not apply" else ""), (f"  [{tried}]" if tried else "", "dim"),
    ]  # fmt: skip
    return Text.assemble(*parts)


def _conclude(report: Report, output: Output) -> None:
    output.say()
    for level in report.claims:
        state = report.level(level)
        output.say(Text.assemble((f"{level.value:<18}", "bold"), (state, STYLES[state])))
    for level in report.untried:
        output.say(Text.assemble((f"{level.value:<18}", "bold"), ("not tried", STYLES["not shown"]), UNTRIED))
    for warning in report.found.warnings:
        output.say(f"{report.found.url} warns: {warning}")
    if not report.real:
        output.say(
            f"{report.subject} is a stand-in: what it keeps says nothing of the real server's durability"
        )
    failed = [f"{level} is {report.level(level)}" for level in report.claims if report.level(level) != "kept"]
    failed += [f"{level} was not claimed" for level in report.unclaimed]
    said = "holds what it claims" if report.sound else "; ".join(failed)
    kept = sum(result.state == "kept" for result in report.results)
    output.say(f"{report.subject}: {said} ({kept} of {len(report.results)} checks kept, seed {report.seed})")
    levels = {level.value: report.level(level) for level in report.claims}
    facts = {"subject": report.subject, "sound": report.sound, "levels": levels, "seed": report.seed}
    output.record(
        "summary",
        {
            **facts,
            "durability": report.found.durability.name,
            "real": report.real,
            "not_tried": list(report.untried),
        },
    )
