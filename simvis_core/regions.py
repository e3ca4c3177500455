"""The old name of `simvis_core/galleries/regions.py`, for one release."""

from simvis_core.galleries.regions import *  # noqa: F403
