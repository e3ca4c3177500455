"""The old name of `simvis_core/stores/edge.py`, for one release."""

from simvis_core.stores.edge import *  # noqa: F403
