"""What proves that nothing is lost, for your own strategies and stores too: crash harness, simulated exchange, kits."""
