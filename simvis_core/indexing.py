"""The old name of `simvis_core/galleries/indexing.py`, for one release."""

from simvis_core.galleries.indexing import *  # noqa: F403
