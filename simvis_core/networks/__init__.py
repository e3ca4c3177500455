"""Embedding networks, and how they are split."""
