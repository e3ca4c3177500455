"""Attributes that a small layer on a network's features learns from labelled pictures."""
