"""Runs: the desk, backtests and live runs."""
