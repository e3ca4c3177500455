"""The old name of `simvis_core/trust/faithfulness.py`, for one release."""

from simvis_core.trust.faithfulness import *  # noqa: F403
