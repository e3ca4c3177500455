"""Checks of the computing core."""
