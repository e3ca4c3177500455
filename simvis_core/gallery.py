"""The old name of `simvis_core/galleries/gallery.py`, for one release."""

from simvis_core.galleries.gallery import *  # noqa: F403
