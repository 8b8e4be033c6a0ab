"""A shop's raw files become checked tables."""
