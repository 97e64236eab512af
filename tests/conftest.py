"""What all tests share."""

import os

from hypothesis import HealthCheck, settings

# How long an example takes says more about the machine than about the code; benchmarks say what a thing costs.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
if not os.environ.get("CI"):  # there hypothesis has a profile of its own, which repeats the same examples
    settings.load_profile("unhurried")
