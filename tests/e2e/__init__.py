"""Checks of the running app in a browser."""
