"""The shortest history that shows a failure: as little lost as it takes, and only the operations that matter."""

from collections.abc import Callable, Iterator

from holdfast.testing.explorer.files import Fate
from holdfast.testing.explorer.models import Model
from holdfast.testing.explorer.moments import Choice, State

__all__ = ("history", "simplest")

AROUND = 6


def simplest(state: State, fails: Callable[[State], bool], model: Model) -> State:
    """Return the state of the same point where nothing more can survive without `fails` becoming false."""
    going = True
    while going:
        going = False
        for choice in _kinder(state, model):
            kinder = state.moment.state(choice)
            if fails(kinder):
                state, going = kinder, True
                break
    return state


def _kinder(state: State, model: Model) -> Iterator[Choice]:
    """Yield the choices where one thing more survives."""
    choice, moment = state.choice, state.moment
    for effect in moment.free_names:
        more = model.lawful(moment.free_names, choice.names | {effect})
        if effect in more and effect not in choice.names:
            yield Choice(more, choice.fates)
    whole = {node: (Fate.KEPT,) * len(file.free) for node, file in moment.files.items()}
    for node, chosen in choice.fates.items():
        for index, fate in enumerate(chosen):
            if fate is not Fate.KEPT:
                kept = (*chosen[:index], Fate.KEPT, *chosen[index + 1 :])
                yield Choice(choice.names, {**whole, **choice.fates, node: kept})


def history(state: State, problems: tuple[str, ...]) -> str:
    """Return the operations up to the power cut, each with what became of it; those far from losses are left out."""
    lost, operations = state.lost(), state.moment.operations[: state.point]
    shown = set(range(max(0, state.point - AROUND), state.point)) | set(lost)
    lines, skipped = [], 0
    for index, operation in enumerate(operations):
        if index not in shown:
            skipped += 1
            continue
        if skipped:
            lines.append(f"        … {skipped} operations that are wholly there")
        skipped = 0
        fate = f"    <- {lost[index]}" if index in lost else ""
        lines.append(f"{index:6}  {operation.text}{fate}")
    lines.append("        power cut")
    return "\n".join([*lines, *(f"        found: {problem}" for problem in problems)])
