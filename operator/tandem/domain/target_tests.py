"""Before the first wave: a test agent signs in at the target and is called, anew, for this very Shift.

    Preparing, in the store --> engines see it --> deep probe at once --> what it met, in the store --> first wave

Words (`words`) say that nothing has failed lately. This says that it works now: by the target's own location and by
another one, each of which began after it had seen the Shift prepare. Pure.
"""

from collections.abc import Iterable

from tandem.domain.reasons import Reason, Refusal
from tandem.domain.records import ShiftRecord
from tandem.domain.snapshot import Snapshot

Place = tuple[str, str]
"""A site and one of its systems."""


def targets_of(record: ShiftRecord) -> list[Place]:
    """Where agents of a Shift arrive."""
    return sorted({(target, plan.system) for plan in record.plan for target in plan.targets})


def asked_by_place(snapshot: Snapshot) -> dict[Place, tuple[str, ...]]:
    """Places to be tested now, each with the Shifts that are preparing to move agents there.

    One that waits for replicas is tested when it has them: what they bear is what the test is to tell.
    """
    found: dict[Place, list[str]] = {}
    for shift in snapshot.shifts.values():
        if shift.record.phase == "Preparing" and shift.record.reason != Reason.WAITING_FOR_REPLICAS:
            for place in targets_of(shift.record):
                found.setdefault(place, []).append(shift.name)
    return {place: tuple(sorted(shifts)) for place, shifts in found.items()}


def untested(snapshot: Snapshot, shift: str, places: Iterable[Place]) -> Refusal | None:
    """Refuse until each place that has test agents has passed a test for this Shift (`namespace/name`)."""
    for site, name in sorted(places):
        system = snapshot.system(site, name)
        if system is None or system.deep_probes == "None":
            continue  # its plan says that this is not tried
        tests = snapshot.tests.get((site, name), {})
        done = {observer: entry.record for observer, entry in tests.items() if shift in entry.record.asked}
        passed = {observer for observer, record in done.items() if record.ok}
        if site in passed and passed - {site}:
            continue
        own = done.get(site)
        failed = sorted(observer for observer, record in done.items() if not record.ok)
        if own is not None and not own.ok:
            failed = [site]
        elif passed - {site} or not failed:
            missing = site if site not in passed else "another location"
            message = f"{name} at {site}: waits for a test agent of {missing} to sign in there and be called"
            return Refusal(Reason.TESTING_TARGET, message, temporary=True)
        said = "; ".join(f"that of {observer}: {done[observer].detail}" for observer in failed)
        message = f"{name} at {site}: a test agent could not sign in there and be called ({said}); it is tried again"
        return Refusal(Reason.TARGET_TEST_FAILED, message, temporary=True)
    return None
