"""A local Mistral server and a pytest fixture, for this package's tests and for yours."""
