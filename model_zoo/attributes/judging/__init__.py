"""Attributes judged on the sample pictures or on a published data set."""
