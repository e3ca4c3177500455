"""Operators frozen at one input, recorded and replayed."""
