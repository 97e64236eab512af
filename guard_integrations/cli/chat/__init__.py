"""The `chat` command: a guarded conversation in the terminal."""
