"""The checks, in the same rooms as the code."""
