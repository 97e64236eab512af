"""Mistral's moderation: the decision, and the client that asks for it."""
