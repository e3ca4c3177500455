"""Checks of the model zoo."""
