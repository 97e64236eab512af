"""Guards for LlamaIndex."""
