"""The peers are looked for: without them their tests are left out, but not where they are required."""

import importlib.util
import os

import pytest

PEERS = ("quantus", "exclip")


@pytest.fixture(autouse=True)
def _peers():
    missing = [name for name in PEERS if importlib.util.find_spec(name) is None]
    if missing and os.environ.get("SIMVIS_REQUIRE_PEERS") == "1":
        pytest.fail(f"SIMVIS_REQUIRE_PEERS is 1, but {', '.join(missing)} is missing")
    if missing:
        pytest.skip(f"needs requirements-peers.txt: {', '.join(missing)} is missing")
