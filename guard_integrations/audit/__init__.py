"""The audit: reads a project's code and says what is wrong in its use of Mistral, LangChain and LlamaIndex.

Needs the extra `audit`.
"""
