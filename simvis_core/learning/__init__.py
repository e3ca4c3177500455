"""Learning: losses, batches, steps, and how well what was learned retrieves."""
