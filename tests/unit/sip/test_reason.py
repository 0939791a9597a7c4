import pytest

from callcenter.sip.reason import error_cause


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        (None, None),
        ("", None),
        ("SIP", None),
        ("SIP;cause=200", None),
        ("SIP ;cause=503", 503),
        ('sip;text="a;b";cause=408', 408),
        ("Q.850;cause=16", None),
        ("Q.850;cause=31", None),
        ("Q.850;cause=41", 41),
        ("preemption;cause=1", None),
        ("SIP;because=500", None),
    ],
)
def test_reasons_that_speak_of_errors(reason: str | None, cause: int | None) -> None:
    assert error_cause(reason) == cause
