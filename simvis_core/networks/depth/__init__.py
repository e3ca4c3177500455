"""Exact maps at any layer that everything from the pixels passes through."""
