"""What the Search and Classes tabs share."""
