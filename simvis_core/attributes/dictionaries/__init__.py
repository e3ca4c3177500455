"""Directions that embeddings are told in: made, learnt, measured, kept in a file."""
