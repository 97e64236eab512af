"""Findings to text, without I/O."""
