"""A wire-protocol test server for the MongoDB backend. It is *not* MongoDB, and shows nothing about mongod.

The PyPI package nx-27017 speaks the protocol on SQLite. It is no replica set, so `url` says `test_server=1`. As it
comes, two open transactions of it are one (they share a SQLite connection, and everybody sees what is uncommitted);
here it stands behind a gate (`holdfast.testing.servers.mongo_gate`) that lets one transaction in at a time.
"""

import socket
import sys
from collections.abc import Sequence

from holdfast.testing.servers.process import ServerProcess, find

__all__ = ("MongoTestServer",)


class MongoTestServer(ServerProcess):
    """nx-27017 behind the gate, its files in the server's folder: what it acknowledged survives its process."""

    @property
    def url(self) -> str:
        """The URL of a store on it, `test_server=1` included; add further options with &."""
        return f"mongodb://127.0.0.1:{self.port}/holdfast?test_server=1"

    def command(self) -> Sequence[str]:
        """Return the command that runs the gated server; nx-27017 has to be installed beside this interpreter."""
        if find("nx-27017") is None:
            raise FileNotFoundError("nx-27017 is not installed: pip install nx-27017")
        gate = "holdfast.testing.servers.mongo_gate"
        return (sys.executable, "-m", gate, str(self.port), str(self.folder / "data"))

    def answers(self) -> bool:
        """Return whether it accepts connections."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False
