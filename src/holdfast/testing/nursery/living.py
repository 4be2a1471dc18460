"""What happens in a child: the function is called, what came of it is written down, and the process ends."""

import asyncio
import gc
import inspect
import os
import random
import traceback
from importlib import import_module
from typing import Any

import msgspec

from holdfast.testing.nursery.arming import armed
from holdfast.testing.nursery.requests import Request

__all__ = ("live",)


def live(request: Request, trace: int, outcome: int) -> None:
    """Call the function, write down what came of it, and end; never returns."""
    gc.enable()
    os.dup2(2, 1)  # what a bot prints must not be taken for an answer of the nursery
    devnull = os.open(os.devnull, os.O_RDONLY)
    os.dup2(devnull, 0)
    random.seed()
    told: dict[str, Any]
    try:
        for patch in request.patches:
            _function(patch)()
        with armed(request.kills, trace):
            told = {"ended": "returned", "answer": _called(_function(request.function), request.arguments)}
        encoded = msgspec.json.encode(told)
    except BaseException as error:
        if os.environ.get("HOLDFAST_NURSERY_TRACE"):
            traceback.print_exc()
        encoded = msgspec.json.encode(
            {"ended": "raised", "error": type(error).__name__, "message": str(error)}
        )
    os.pwrite(outcome, encoded, 0)
    os._exit(0)


def _called(function: Any, arguments: dict[str, Any]) -> Any:
    result = function(**arguments)
    return asyncio.run(result) if inspect.iscoroutine(result) else result


def _function(name: str) -> Any:
    module, _, attribute = name.partition(":")
    found: Any = import_module(module)
    for part in attribute.split("."):
        found = getattr(found, part)
    return found
