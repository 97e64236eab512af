"""What every adapter shares: policy, findings, scanner, sanitizer, moderation, key rotation."""
