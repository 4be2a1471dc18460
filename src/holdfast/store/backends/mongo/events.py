"""Counts the driver's connections: on each new one the server may be another, or have lost something."""

from pymongo import monitoring

__all__ = ("Connections",)


class Connections(monitoring.ConnectionPoolListener):
    """How many connections became `ready` since this was made."""

    def __init__(self) -> None:
        self.ready = 0

    def connection_ready(self, event: monitoring.ConnectionReadyEvent) -> None:
        """Count a connection that was opened and let in."""
        self.ready += 1

    def pool_created(self, event: monitoring.PoolCreatedEvent) -> None:
        """Do nothing."""

    def pool_ready(self, event: monitoring.PoolReadyEvent) -> None:
        """Do nothing."""

    def pool_cleared(self, event: monitoring.PoolClearedEvent) -> None:
        """Do nothing."""

    def pool_closed(self, event: monitoring.PoolClosedEvent) -> None:
        """Do nothing."""

    def connection_created(self, event: monitoring.ConnectionCreatedEvent) -> None:
        """Do nothing."""

    def connection_closed(self, event: monitoring.ConnectionClosedEvent) -> None:
        """Do nothing."""

    def connection_check_out_started(self, event: monitoring.ConnectionCheckOutStartedEvent) -> None:
        """Do nothing."""

    def connection_check_out_failed(self, event: monitoring.ConnectionCheckOutFailedEvent) -> None:
        """Do nothing."""

    def connection_checked_out(self, event: monitoring.ConnectionCheckedOutEvent) -> None:
        """Do nothing."""

    def connection_checked_in(self, event: monitoring.ConnectionCheckedInEvent) -> None:
        """Do nothing."""
