"""Pairs in words: which attributes explain a match, asked and told."""
