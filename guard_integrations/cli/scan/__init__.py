"""`guard-integrations scan`."""
