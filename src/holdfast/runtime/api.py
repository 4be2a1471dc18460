"""The default desk and its thin views: what `from holdfast import strategy, Live, …` gives."""

from typing import Final

from holdfast.persist import DEFAULT
from holdfast.runtime.backtests import Backtest as _Backtest
from holdfast.runtime.desk import Desk
from holdfast.runtime.live.runs import Live as _Live

__all__ = ("DESK", "Backtest", "Live", "add_exchange", "add_risk", "strategy", "use_store")

DESK: Final = Desk(adapters=DEFAULT)
"""The desk that the module-level names belong to."""

strategy = DESK.strategy
add_exchange = DESK.add_exchange
add_risk = DESK.add_risk
use_store = DESK.use_store
Live: Final = _Live(DESK)
Backtest: Final = _Backtest(DESK)
