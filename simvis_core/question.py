"""The old name of `simvis_core/explainers/question.py`, for one release."""

from simvis_core.explainers.question import *  # noqa: F403
