"""What many pairs of two views have in common, and how one view is turned against the other."""
