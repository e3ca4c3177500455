"""Tests of attributes and concepts."""
