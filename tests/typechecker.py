"""The checker that reads the shapes in the core's signatures during a test run."""

from beartype import BeartypeConf, beartype

beartype_like_mypy = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int where a float is asked for is fine
