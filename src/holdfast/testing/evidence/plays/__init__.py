"""What is done for one seed of a way of trying, by way: see `holdfast.testing.evidence.ways`."""
