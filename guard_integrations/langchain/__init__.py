"""Guards for LangChain."""
