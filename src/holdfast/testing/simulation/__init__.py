"""Live bots, their stores and their exchange in one process, on a simulated clock, network and disk, from one seed."""
