import json
import signal
from pathlib import Path
from urllib.request import urlopen

from tests.cli.builders import Here, running


def test_it_serves_until_it_is_stopped_and_says_what_it_saw(tmp_path: Path) -> None:
    with running("exchange-sim", "--synthetic", "ETHUSDT=3:100", "--json", cwd=tmp_path) as command:
        command.until(lambda one: "serving" in one.out)
        url = json.loads(command.out)["url"]
        with urlopen(f"{url}/market?symbol=ETHUSDT") as answer:
            assert json.load(answer)["symbol"] == "ETHUSDT"
        command.process.send_signal(signal.SIGTERM)
        done = command.ended()
    assert done.code == 0
    assert done.summary["orders"] == 0
    assert done.summary["doubled"] == {}
    assert done.summary["requests"] == {"market": 1}


def test_without_candles_it_makes_some_up(tmp_path: Path) -> None:
    with running("exchange-sim", cwd=tmp_path) as command:
        command.until(lambda one: "Ctrl-C ends it" in one.err and one.out)
        url = command.out.splitlines()[0]
        with urlopen(f"{url}/now") as answer:
            assert json.load(answer)["waits"] is True
        command.process.send_signal(signal.SIGINT)
        assert "0 orders" in command.ended().out


def test_what_it_cannot_serve(here: Here, tmp_path: Path) -> None:
    assert "SYMBOL=SEED:MINUTES" in here("exchange-sim", "--synthetic", "BTCUSDT").err
    with running("exchange-sim", cwd=tmp_path) as command:
        command.until(lambda one: one.out)
        port = command.out.split(":")[-1].strip()
        done = here("exchange-sim", "--port", port)
    assert done.code == 2
    assert f"port {port} cannot be used" in done.err
