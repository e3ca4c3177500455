"""Networks, features and drawn maps in bounded caches."""
