"""Text to findings, without I/O."""
