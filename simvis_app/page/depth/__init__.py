"""The dial of Compare: maps from coarse to fine."""
