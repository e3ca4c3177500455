"""Galleries of pictures: indexed, searched, and their classes."""
