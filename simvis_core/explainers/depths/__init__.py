"""Maps at a network's depths as explainers: at one depth, and several put together."""
