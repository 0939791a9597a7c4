"""How hypothesis plays: no test is timed, for a machine that is busy elsewhere is no fault of the code's."""

from hypothesis import HealthCheck, settings

settings.register_profile("tandem", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("tandem")
