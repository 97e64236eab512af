"""API keys: a ring that heals itself, and the HTTP auth flow that turns it."""
