"""The `playground` command: a local web page that shows what the guards do with a text, and with a stream."""
