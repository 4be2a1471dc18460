"""Bots that only these tests need: what a child process of the nursery runs."""

from typing import Any

from holdfast.errors import HoldfastError
from holdfast.testing.bots import trade_scenario

__all__ = ("try_scenario",)


async def try_scenario(*, scenario: str, url: str, store: str) -> dict[str, Any]:
    """Trade a scenario, or say why not."""
    try:
        return {"done": await trade_scenario(scenario=scenario, url=url, store=store)}
    except HoldfastError as error:
        return {"error": type(error).__name__, "message": str(error)}
