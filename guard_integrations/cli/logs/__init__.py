"""`guard-integrations logs`: what guards and models have done, from the lines that sinks have written."""
