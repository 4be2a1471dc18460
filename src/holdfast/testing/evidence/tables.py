"""What the ledger says, as Markdown: each block of the page is one function of it. Numbers come from nowhere else."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from textwrap import fill
from typing import Final

from holdfast.testing.conformance.checks import Level
from holdfast.testing.evidence.backends import BACKENDS
from holdfast.testing.evidence.goals import GOALS, Goal, reached
from holdfast.testing.evidence.ledger import CONFORMANCE, Broken, Examination, Ledger, Machine, Stint
from holdfast.testing.evidence.seeds import joined
from holdfast.testing.evidence.ways import WAYS, Way

__all__ = ("BLOCKS",)

NOT_RUN: Final = "not run"
WIDE: Final = 300
"""Letters of what is quoted."""


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def backends(ledger: Ledger) -> str:
    """Return what the kit said of each backend, level by level."""
    found = {one.backend: one for one in ledger.lines(Examination)}
    head = ["backend and setting", "acknowledged survives", *(level.value for level in Level), "tried"]
    rows = [_backend(label.label, found.get(name)) for name, label in BACKENDS.items()]
    return table(head, rows)


SURVIVES: Final = {
    "NONE": "nothing", "PROCESS_CRASH": "a crash", "POWER_LOSS": "power loss", "FAILOVER": "failover",
}  # fmt: skip


def _backend(label: str, found: Examination | None) -> list[str]:
    if found is None:
        return [label, *[NOT_RUN] * (len(Level) + 2)]
    states = [found.levels.get(level.value, NOT_RUN) for level in Level]
    tried = ", ".join(f"{number(count)} {name}" for name, count in found.counts.items() if name in SHOWN)
    kept = f"{found.checks.get('kept', 0)} checks kept, {found.checks.get('broken', 0)} broken"
    return [label, SURVIVES[found.durability], *states, "; ".join(filter(None, [kept, tried]))]


SHOWN: Final = (
    "commits", "cuts", "faults", "histories", "kills", "kills in recovery", "points", "server kills", "states", "steps",
)  # fmt: skip


def unshown(ledger: Ledger) -> str:
    """Return what the kit and the campaign could not show where they were run, and why."""
    lines, examined = list[str](), {one.backend for one in ledger.lines(Examination)}
    for name in (name for name in BACKENDS if name not in examined):
        if why := _why_not(ledger, CONFORMANCE, name):
            lines.append(f"* {BACKENDS[name].label}: {quoted(why)}")
    for one in ledger.lines(Examination):
        for check, why in one.not_shown.items():
            lines.append(f"* {BACKENDS[one.backend].label}, {check}: {quoted(why)}")
    for way in WAYS.values():
        for target in way.targets:
            if not _counted(ledger, way, target) and (why := _why_not(ledger, way.name, target)):
                lines.append(f"* {way.title}, {_name(target)}: {quoted(why)}")
    return "\n".join(dict.fromkeys(lines)) or "Nothing of what was run."


def _counted(ledger: Ledger, way: Way, target: str) -> bool:
    return bool(+ledger.total(way.name, target))


def _why_not(ledger: Ledger, way: str, target: str) -> str:
    stints = [one for one in ledger.lines(Stint) if (one.way, one.target) == (way, target)]
    return next((one.not_shown for one in reversed(stints) if one.not_shown), "")


def ways(ledger: Ledger) -> str:
    """Return what each way promised, tried and found, target by target."""
    return "\n\n".join(_way(ledger, way) for way in WAYS.values())


def _way(ledger: Ledger, way: Way) -> str:
    rows = [_target(ledger, way, target) for target in way.targets]
    command = f'`make campaign ARGS="--only {way.name}"`'
    said = table(["on", "tried", "found", "seeds"], rows)
    return f"### {way.title}\n\n{fill(f'{way.promise} {command}', 120, break_on_hyphens=False)}\n\n{said}"


def _target(ledger: Ledger, way: Way, target: str) -> list[str]:
    total, name = ledger.total(way.name, target), _name(target)
    if not +total:
        return [name, "not shown" if _why_not(ledger, way.name, target) else NOT_RUN, "", ""]
    tried = [
        f"{number(count)} {what}" for what, count in total.items() if what not in (*way.zeros, "seconds")
    ]
    found = [f"{what} {number(total[what])}" for what in way.zeros]
    broken = sum((one.way, one.target) == (way.name, target) for one in ledger.lines(Broken))
    seeds = ""
    for one in ledger.lines(Stint):
        if (one.way, one.target) == (way.name, target):
            seeds = joined(seeds, one.seeds)
    return [
        name,
        ", ".join(tried),
        ", ".join([*found, *([f"**see below: {broken}**"] if broken else [])]),
        seeds,
    ]


def _name(target: str) -> str:
    """Return what people call a target."""
    name, _, file_system = target.rpartition("-")
    if file_system in ("ext4", "xfs"):
        return f"{_name(name)}, on {file_system}"
    return BACKENDS[target].label if target in BACKENDS else OTHERS.get(target, target)


OTHERS: Final = {
    "file-repair": "`holdfast store repair` of damaged files",
    "file-as-shipped": "files, all settings as shipped",
    "sqlite-as-shipped": "SQLite, all settings as shipped",
    "suite": "the tests",
    "bots": "bots on simulated files and servers, wrapped as the seed has it",
    "all": "everything that is read",
}


def targets(ledger: Ledger) -> str:
    """Return the targets, and how much of each was reached."""
    head = ["", "to be tried on each change", "to be tried by a campaign", "reached"]
    return table(head, (_goal(ledger, goal) for goal in GOALS))


def _goal(ledger: Ledger, goal: Goal) -> list[str]:
    count = reached(ledger, goal)
    each = " on each" if goal.each and len(goal.where) > 1 else ""
    done = f"{number(count)}{' at least' if each else ''}" if count else NOT_RUN
    mark = "**" if count >= goal.campaign else ""
    return [goal.what, goal.change or "-", f"{number(goal.campaign)}{each}", f"{mark}{done}{mark}"]


def broken(ledger: Ledger) -> str:
    """Return what was broken and has not been taken off the ledger."""
    lines = [
        f"* **{one.way}, {_name(one.target)}**, seed {one.seed}, Holdfast {one.holdfast}, {one.date}: "
        f"{quoted(one.said)} (`{one.replay}`)"
        for one in ledger.lines(Broken)
    ]
    return "\n".join(lines) or "Nothing of what stands here was found broken."


def made(ledger: Ledger) -> str:
    """Return when and with which versions all of this was tried."""
    tried: Sequence[Stint | Examination] = [*ledger.lines(Examination), *ledger.lines(Stint)]
    if not tried:
        return NOT_RUN
    dates = sorted({one.date for one in tried})
    versions = sorted({one.holdfast for one in tried})
    hours = sum(one.seconds for one in tried) / 3600
    seeds = ", ".join(str(seed) for seed in sorted({one.seed for one in ledger.lines(Examination)}))
    pace = ", ".join(sorted({one.pace for one in ledger.lines(Examination)}))
    days = dates[0] if len(dates) == 1 else f"{dates[0]} to {dates[-1]}"
    said = [
        f"* {days}; {hours:.1f} hours of trying; the kit with seed {seeds or NOT_RUN}, pace {pace or NOT_RUN}.",
        f"* Holdfast: {', '.join(versions)}. A + stands for changes that were not committed then.",
        *(_machine(one) for one in ledger.lines(Machine)),
    ]
    return "\n".join(said)


def _machine(one: Machine) -> str:
    tools = ", ".join(f"{name} {version}" for name, version in one.tools.items())
    return f"* Machine {one.name}: {one.processor}; {one.system}; {one.python}; {tools}."


def number(count: int) -> str:
    """Return a number for people."""
    return f"{count:,}"


def quoted(text: str) -> str:
    """Return the beginning of what was said, in one line."""
    line = " ".join(text.split())
    return line if len(line) <= WIDE else f"{line[:WIDE]} …"


BLOCKS: Final[Mapping[str, Callable[[Ledger], str]]] = {
    "backends": backends,
    "ways": ways,
    "targets": targets,
    "broken": broken,
    "not-shown": unshown,
    "made": made,
}
"""Every block of the page by its name."""
