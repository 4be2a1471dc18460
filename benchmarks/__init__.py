"""How fast Holdfast is on this machine, always as a ratio to the least that the machine needs for the same job."""
