"""`guard-integrations demo`: the same prompts with and without the guard, side by side."""
