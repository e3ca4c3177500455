"""`concepts`: dictionaries of concepts and pairs explained by them."""
