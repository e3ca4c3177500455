"""The Compare tab's panel of concepts."""
