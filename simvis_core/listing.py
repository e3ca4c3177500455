"""The old name of `simvis_core/pictures/listing.py`, for one release."""

from simvis_core.pictures.listing import *  # noqa: F403
