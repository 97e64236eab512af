"""`python -m guard_integrations` is `guard-integrations`."""

from guard_integrations.cli import main

if __name__ == "__main__":
    main()
