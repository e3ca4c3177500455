"""Mistakes of one line that a person could make in the core and the zoo, and the tests that catch each of them."""
