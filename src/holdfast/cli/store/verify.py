"""`holdfast store verify` and `repair`: what is not as it should be, and what can be done about it."""

from collections.abc import Sequence
from typing import Annotated, Final

from msgspec import to_builtins
from rich.text import Text

from holdfast.cli import codes
from holdfast.cli.options import DEFAULT_STORE, Json, Namespace, StoreUrl, flag
from holdfast.cli.output import Output
from holdfast.cli.store.reading import folder_of
from holdfast.errors import HoldfastError, InvalidOption, Unsupported
from holdfast.store.backends.file import repair as mending
from holdfast.store.backends.file import verify as finding
from holdfast.store.backends.file.findings import Finding
from holdfast.store.url import parse

__all__ = ("repair", "verify")

MENDED: Final = "restored"


def verify(*, store: StoreUrl = DEFAULT_STORE, namespace: Namespace = None, json: Json = False) -> int:
    """Read every byte of a store and say what is not as it should be; changes nothing, also while a bot uses it.

    Exit codes: 0 sound, 1 something was found, 2 it could not be read.

    Example: `holdfast store verify --store file:./logs/data`
    """
    output = Output(json=json)
    found = _found(output, store, namespace)
    if found is None:
        return codes.COULD_NOT_RUN
    _list(output, found)
    if found:
        output.note("`holdfast store repair` mends what can be mended, and deletes nothing")
    output.say("the store is sound" if not found else f"{len(found)} findings")
    output.record("summary", {"findings": len(found)})
    return codes.FOUND if found else codes.DONE


def repair(
    *,
    store: StoreUrl = DEFAULT_STORE,
    namespace: Namespace = None,
    yes: Annotated[bool, flag("Do not ask.")] = False,
    json: Json = False,
) -> int:
    """Restore what the journal still knows, and set aside what cannot be trusted; nothing is deleted.

    Stop the bot first. What is set aside goes to the store's quarantine folder and is absent from then on: check it
    against the exchange before you trade. Exit code 1 says that there is such a thing, or that you said no.

    Example: `holdfast store repair --store file:./logs/data`
    """
    output = Output(json=json)
    found = _found(output, store, namespace)
    if found is None:
        return codes.COULD_NOT_RUN
    if not found:
        output.say("the store is sound: nothing to repair")
        output.record("summary", {"mended": 0, "set_aside": 0})
        return codes.DONE
    for one in found:
        output.note(_line(one))
    if not (yes or _agreed(output, len(found))):
        output.note("nothing was changed")
        return codes.FOUND
    asked = parse(store, namespace=namespace)
    return _told(output, mending.repair(asked.path, namespace=asked.namespace))


def _told(output: Output, done: Sequence[Finding]) -> int:
    _list(output, done)
    mended = sum(one.kind == MENDED for one in done)
    aside = len(done) - mended
    output.say(
        f"{mended} mended, {aside} set aside or lost"
        + (": check those against the exchange" if aside else "")
    )
    output.record("summary", {"mended": mended, "set_aside": aside})
    return codes.FOUND if aside else codes.DONE


def _found(output: Output, url: str, namespace: str | None) -> list[Finding] | None:
    """Return what verify finds; None, and an error said, where it could not read."""
    asked = parse(url, namespace=namespace)
    if folder_of(url, namespace) is None:
        raise Unsupported(
            f"verify and repair are for files; {asked.scheme}: has its own means", scheme=asked.scheme
        )
    try:
        return finding.verify(asked.path, namespace=asked.namespace)
    except HoldfastError as error:
        output.error(str(error), kind=type(error).__name__)
        return None


def _agreed(output: Output, count: int) -> bool:
    if not output.asks:
        raise InvalidOption("nobody can be asked here: --yes repairs without")
    return output.confirm(f"{count} findings. Repair now?")


def _list(output: Output, findings: Sequence[Finding]) -> None:
    for one in findings:
        output.record("finding", to_builtins(one))
        output.say(_line(one))


def _line(one: Finding) -> Text:
    whose = "" if one.key is None else f" ({one.key.entity_name} {one.key.entity_id})"
    style = "green" if one.kind == MENDED else "bold red"
    return Text.assemble((f"{one.kind:<12}", style), f"{one.path}{whose} {one.reason}")
