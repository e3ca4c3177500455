"""Checkpoint series of trainings: which there are, and pictures asked about at each step of one."""
