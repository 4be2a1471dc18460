"""The procedure of docs/moving.md, with processes, signals and a real PostgreSQL: nothing shows that it was moved."""

import signal
from pathlib import Path

import pytest

from holdfast.testing.exchange import SimulatedExchangeProcess
from holdfast.testing.servers.park import Park
from tests.cli.builders import EAGER, Here, running

WAITS = """
    while ctx.state["asked"] == 15 and not Path("go").exists():
        Path("waits").touch()
        time.sleep(0.01)
    side ="""


@pytest.mark.crash
@pytest.mark.server("postgres")
def test_a_running_portfolio_is_moved_from_files_to_postgresql(
    here: Here, folder: Path, exchange: SimulatedExchangeProcess
) -> None:
    bot_py = EAGER.replace('"5m"', '"5m", timeout=90').replace("\n    side =", WAITS)
    (folder / "bot.py").write_text(f"import time\nfrom pathlib import Path\n{bot_py}")
    url = exchange.reset("moving")
    words = ("live", "bot.py:desk", "--symbol", "BTCUSDT", "--exchange", url, "--poll", "0.1", "--json")
    with Park() as park:
        database = park.server("postgres").url
        with running(*words, cwd=folder) as bot:
            # An export refuses what changes meanwhile.
            bot.until(lambda one: (folder / "waits").exists() and one.out.count('"Closed"') >= 3)
            busy = here("store", "copy", "file:state", database, "--move", "--json")
            assert busy.code == 2
            assert busy.objects[-1]["error"] == "StoreInUse"
            assert str(bot.process.pid) in busy.err
            beside = here("store", "export", "file:state", "beside.jsonl.gz")
            assert beside.code == 0, beside.err
            bot.process.send_signal(signal.SIGTERM)
            bot.until(lambda one: "letting go" in one.err)
            (folder / "go").touch()
            assert bot.ended().code == 0

        assert here("store", "copy", "file:state", database, "--move", "--dry-run").code == 0
        moved = here("store", "copy", "file:state", database, "--move", "--json")
        assert moved.code == 0
        assert moved.summary["moved"] is True
        assert here("store", "verify", database).code == 0

        again = here(*words)
        assert again.code == 2
        assert again.objects[-1]["error"] == "NotActive"
        ended = here(*words, "--store", database)
        assert ended.code == 0
        assert len(ended.of_type("Recovered")) == 1
        assert exchange.witness("moving").doubled == {}

        alone = exchange.reset("left-alone")
        assert here(*words[:5], alone, *words[6:], "--store", "file:alone").code == 0
        history = ("store", "history", "eager", "BTCUSDT", "--json", "--store")
        told = [
            [one["value"] for one in here(*history, store).of_type("event")]
            for store in (database, "file:alone")
        ]
        assert told[0] == told[1]
        assert len(told[0]) > 40
