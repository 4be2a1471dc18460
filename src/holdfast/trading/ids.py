"""Operation ids: hashes of what is being done, never random, so that a repeated step asks for the same order.

A client order id is `hf-{namespace}-{strategy}-{operation}`, 33 characters of `[0-9a-fh-]`: within the 36 that
large exchanges allow. The two tags let recovery tell whose order it is looking at.
"""

from hashlib import blake2b

__all__ = ("client_prefix", "namespace_prefix", "operation_id", "signal_id")


def _digest(length: int, *parts: str | int) -> str:
    # Lengths go in with the parts, so that no two lists of parts read the same.
    text = "".join(f"{len(str(part))}:{part}" for part in parts)
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=length).hexdigest()


def client_prefix(namespace: str, strategy: str) -> str:
    """Return the start of every client id of a strategy in a namespace."""
    return f"hf-{_digest(3, namespace)}-{_digest(3, strategy)}-"


def namespace_prefix(namespace: str) -> str:
    """Return the start of every client id of a namespace."""
    return f"hf-{_digest(3, namespace)}-"


def signal_id(namespace: str, strategy: str, symbol: str, decided_at: int) -> str:
    """Return the id of the signal decided at that market time: the same each time it is asked for."""
    return _digest(8, namespace, strategy, symbol, decided_at)


def operation_id(namespace: str, strategy: str, symbol: str, decided_at: int, step: int) -> str:
    """Return the client id of a signal's step-th operation (1 is the entry)."""
    return client_prefix(namespace, strategy) + _digest(8, namespace, strategy, symbol, decided_at, step)
