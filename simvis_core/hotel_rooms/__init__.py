"""Drawn hotel rooms of which it is known to the pixel what makes two pictures show the same one."""
