"""How the injection model is made; not part of the package."""
