"""The old name of `simvis_core/galleries/search.py`, for one release."""

from simvis_core.galleries.search import *  # noqa: F403
