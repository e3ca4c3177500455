"""Dictionaries of concepts that come along, learnt on the sample photographs and named by attributes."""
