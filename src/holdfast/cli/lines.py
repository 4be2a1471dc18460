"""Events as lines for people: when, whose, what."""

from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from holdfast.trading import events as e

__all__ = ("facts_of", "line", "moment", "number")

TROUBLE = (
    e.StrategyFailed,
    e.SymbolHalted,
    e.StoreUnavailable,
    e.StoreWarned,
    e.ExchangeUnavailable,
    e.Rejected,
    e.Released,
)


def moment(at: int) -> str:
    """Return milliseconds since 1970 as text, in UTC; as a number where they are no time of any calendar."""
    try:
        return datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")
    except (ValueError, OverflowError):
        return f"{at} ms"


def number(value: float) -> str:
    """Return a price or a quantity without digits that say nothing."""
    return f"{value:.8g}" if abs(value) < 1e7 else f"{value:.2f}"


def facts_of(event: e.Happening) -> dict[str, Any]:
    """Return an event as the object that `--json` prints: as stored, with its number and its stream's name."""
    domain = "history" if isinstance(event, e.LIFECYCLE) else "system"
    return {
        **e.to_document(event),
        "number": event.number,
        "stream": f"{domain}.{event.strategy}.{event.symbol}",
    }


def line(event: e.Happening) -> Text:
    """Return an event as one line."""
    what, told = _told(event)
    whose = Text(f"{event.symbol} {event.strategy}", style="cyan")
    text = Text.assemble((moment(event.at), "dim"), "  ", whose, "  ", (what, _style(event)))
    return text.append(f"{'':{max(11 - len(what), 1)}}{told}".replace("\n", " ")) if told else text


def _style(event: e.Happening) -> str:
    if isinstance(event, e.Closed):
        return "bold green" if event.pnl_cost > 0 else "bold red"
    if isinstance(event, TROUBLE):
        return "bold red"
    return "bold" if isinstance(event, e.LIFECYCLE) else "dim"


def _told(event: e.Happening) -> tuple[str, str]:  # noqa: PLR0912  # one case a kind of event
    match event:
        case e.Decided():
            return "decided", _decided(event)
        case e.Scheduled():
            return "scheduled", f"limit {number(event.quantity)} at {number(event.price)}"
        case e.Opening():
            return "opening", f"market {number(event.quantity)} at about {number(event.price)}"
        case e.Opened():
            return "opened", f"{event.side} {number(event.quantity)} at {number(event.price)}"
        case e.Closing():
            level = "" if event.level is None else f" at {number(event.level)}"
            return "closing", f"{_words(event.reason)}{level}{_late(event.late)}"
        case e.Closed():
            return "closed", _closed(event)
        case e.Cancelled():
            return "cancelled", event.reason
        case e.Rejected():
            return "rejected", event.reason
        case e.Released():
            return "released", event.reason
        case e.Started():
            return "started", "; ".join(event.warnings)
        case e.Stopped():
            return "stopped", event.reason
        case e.Recovered():
            return "recovered", event.status + (f"; {event.detail}" if event.detail else "")
        case e.Reconciled():
            return "reconciled", event.detail
        case e.DecisionSkipped():
            return (
                "skipped",
                f"{event.count} intervals passed unasked: the run was away or too rare (--poll), or the strategy hung",
            )
        case e.StrategyFailed():
            return "failed", event.error
        case e.SymbolHalted():
            return "halted", event.reason
        case e.StoreUnavailable():
            return "store away", event.error
        case e.StoreRecovered():
            return "store back", f"after {event.seconds:.1f} s ({event.error})"
        case e.StoreWarned():
            what = event.warning
            return ("mended", f"no longer: {what.partition(': ')[0]}") if event.over else ("warning", what)
        case e.Waiting():
            return "waiting", event.reason.removeprefix("waiting ")
        case e.ExchangeUnavailable():
            return "no answer", event.error
    return type(event).__name__, ""


def _decided(event: e.Decided) -> str:
    entry = "at the market" if event.entry_price is None else f"at {number(event.entry_price)}"
    levels = f"take profit {number(event.take_profit)}, stop loss {number(event.stop_loss)}"
    return f"{event.side} {entry} (now {number(event.price)}), {levels}" + (
        f": {event.note}" if event.note else ""
    )


def _closed(event: e.Closed) -> str:
    way = f"{event.side} {number(event.quantity)}, {number(event.entry_price)} to {number(event.price)}"
    return f"{_words(event.reason)}: {way}, {event.pnl_percent:+.2f} % ({event.pnl_cost:+.2f}){_late(event.late)}"


def _words(reason: str) -> str:
    return reason.replace("_", " ")


def _late(late: bool) -> str:
    return ", late" if late else ""
