"""Tests that start a server of somebody else."""
