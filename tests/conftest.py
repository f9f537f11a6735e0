"""Settings of all tests: how many examples a property test tries."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# `make test` tries few examples of each property, `make test-full` (CPTFLOW_HYPOTHESIS=full) many.
_SLOW_IS_WELL = [HealthCheck.too_slow, HealthCheck.data_too_large]
settings.register_profile("quick", max_examples=25, deadline=None, suppress_health_check=_SLOW_IS_WELL)
settings.register_profile("full", max_examples=120, deadline=None, suppress_health_check=_SLOW_IS_WELL)
settings.load_profile(os.environ.get("CPTFLOW_HYPOTHESIS", "quick"))
