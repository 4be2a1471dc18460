"""What has to be installed before something of `holdfast.testing` can run."""

from importlib.util import find_spec
from typing import Final

__all__ = ("lacking",)

MODULES: Final = {
    "encrypt": "cryptography",
    "metrics": "prometheus_client",
    "mongo": "pymongo",
    "redis": "redis",
}
"""By extra: what it brings."""


def lacking(*extras: str) -> str:
    """Return which of these extras have to be installed, in words; "" where all are."""
    missing = [extra for extra in extras if find_spec(MODULES[extra]) is None]
    return f"it needs more than is installed: pip install 'holdfast[{','.join(missing)}]'" if missing else ""
