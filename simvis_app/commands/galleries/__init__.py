"""The commands that make, ask and check galleries."""
