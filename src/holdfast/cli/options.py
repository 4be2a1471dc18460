"""Options that several commands share, with one wording."""

from typing import Annotated, Final

from cyclopts import Parameter

__all__ = (
    "DEFAULT_STORE",
    "Candles",
    "Exchange",
    "Json",
    "Namespace",
    "StoreUrl",
    "Strategies",
    "Symbols",
    "Target",
    "flag",
)

DEFAULT_STORE: Final = "file:./logs/data"


def flag(text: str) -> Parameter:
    """Return a switch that is off unless it is given."""
    return Parameter(negative="", show_default=False, help=text)


Target = Annotated[
    str,
    Parameter(help="A file.py or package.module that registers strategies; file.py:desk names a Desk in it."),
]
Strategies = Annotated[
    list[str] | None,
    Parameter(
        "--strategy", negative="", help="A strategy by name, needed where there are several; repeatable."
    ),
]
Symbols = Annotated[
    list[str] | None,
    Parameter("--symbol", negative="", help="What to trade, such as BTCUSDT; repeatable."),
]
Candles = Annotated[
    list[str] | None,
    Parameter(
        "--candles",
        negative="",
        help="A CSV file of one-minute candles, as SYMBOL=FILE or FILE of the one --symbol; repeatable.",
    ),
]
Exchange = Annotated[
    str | None,
    Parameter("--exchange", help="The name of an exchange on the desk, or the URL of a simulated one."),
]
Namespace = Annotated[
    str | None,
    Parameter(
        "--namespace", help="The portfolio: state, risk and order ids of one are apart from another's."
    ),
]
StoreUrl = Annotated[
    str, Parameter("--store", help="A URL such as file:./logs/data, or a file.py or module:desk.")
]
Json = Annotated[bool, flag("One JSON object a line on stdout, the last one a summary.")]
