"""A simulated exchange as a process of its own, started and stopped from Python."""

import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import msgspec
import numpy as np

from holdfast.errors import HoldfastError, InvalidOption
from holdfast.market.candles import Series
from holdfast.testing.exchange.faults import Fault, FaultPlan
from holdfast.testing.exchange.options import Options, Seen, Witness

__all__ = ("SimulatedExchangeProcess",)


class SimulatedExchangeProcess:
    """Starts a simulated exchange over these candles and stops it at the end of the `with`; `url` is its address.

    It ends with the process that started it, however that ends; one that is `detached` stays until `stop()`, or a
    signal to `pid`. The methods here block: they are for tests and harnesses, not for an event loop.
    """

    def __init__(
        self,
        series: Mapping[str, Series],
        options: Options | None = None,
        *,
        port: int = 0,
        detached: bool = False,
    ) -> None:
        self.options = options or Options()
        self.url = ""
        self._series = dict(series)
        self._port = port
        self._detached = detached
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The id of the process; 0 while there is none."""
        return self._process.pid if self._process else 0

    def start(self) -> str:
        """Start the process and return its URL once it serves; starting it twice changes nothing."""
        if self._process is None:
            # The process has its candles mapped once it serves: nothing is left to tidy up after a kill.
            with tempfile.TemporaryDirectory(prefix="holdfast-exchange-") as folder:
                self._process = self._spawn(folder)
                assert self._process.stdout is not None
                self.url = self._process.stdout.readline().decode().strip()
            if not self.url:
                self.stop()
                raise HoldfastError("the simulated exchange did not start: its reason is on stderr")
            self.reset()
        return self.url

    def stop(self) -> None:
        """End the process, and wait for that."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def reset(self, session: str = "", **changes: Any) -> str:
        """Start the market of a session anew, one of that name being made if need be; returns the session's URL."""
        options = {**msgspec.to_builtins(self.options), **changes}
        if not session:
            self._call("POST", "/reset", options)
            return self.url
        self._call("PUT", f"/sessions/{session}", options)
        return f"{self.url}/s/{session}"

    def harm(self, *faults: Fault, seed: int = 0, session: str = "") -> None:
        """Set the fault plan; none ends it."""
        self._call("POST", _under(session) + "/faults", FaultPlan(faults=faults, seed=seed))

    def witness(self, session: str = "") -> Witness:
        """Return what has been counted."""
        return msgspec.json.decode(self._call("GET", _under(session) + "/witness"), type=Witness)

    def requests(self, session: str = "", *, kind: str = "") -> list[Seen]:
        """Return every request of a trader, oldest first."""
        return msgspec.json.decode(
            self._call("GET", f"{_under(session)}/requests?kind={kind}"), type=list[Seen]
        )

    def _spawn(self, folder: str) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(  # noqa: S603  # this interpreter, our own module
            self._command(folder),
            stdin=subprocess.DEVNULL if self._detached else subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C is meant for the trader
        )

    def _command(self, folder: str) -> list[str]:
        command = [sys.executable, "-P", "-m", "holdfast.testing.exchange", "--port", str(self._port)]
        for number, (symbol, series) in enumerate(self._series.items()):
            path = Path(folder, f"{number}.npy")
            np.save(path, np.vstack([column.astype(np.float64) for column in series.columns]))
            command += ["--symbol", symbol, "--candles", str(path)]
        return command if self._detached else [*command, "--until-stdin-closes"]

    def _call(self, method: str, path: str, body: Any = None) -> bytes:
        data = None if body is None else msgspec.json.encode(body)
        request = Request(self.url + path, data=data, method=method)  # noqa: S310  # http, to ourselves
        try:
            with urlopen(request, timeout=60) as response:  # noqa: S310
                answer: bytes = response.read()
        except HTTPError as error:
            with error:
                raise InvalidOption(f"{method} {path}: {error.read().decode()}") from error
        return answer

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _under(session: str) -> str:
    return f"/s/{session}" if session else ""
