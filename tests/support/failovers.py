"""Between two tests, and two runs of a bench: a city's last failover is over and forgotten.

Each one within an hour doubles the city's quarantine, in which nothing is planned onto it.
"""

from demo.waiting import until
from tandem.domain import keys
from tandem.domain.records import FailoverRecord, ObservationRecord
from tandem.engine.ports import Delete, Guard, Store


async def nothing_fails(store: Store, *, timeout: float = 120) -> None:
    """Wait until nobody accuses anything: what was killed a moment ago may yet be given up. Raises: NotInTimeError."""

    async def well() -> tuple[bool, str]:
        found, _ = await store.range(keys.OBSERVATIONS, timeout=3.0)
        words = {one.key.removeprefix(keys.OBSERVATIONS): one.value for one in found}
        records = {about: ObservationRecord.model_validate_json(word) for about, word in words.items()}
        failing = [f"{about}: {record.detail}" for about, record in records.items() if record.state == "Fail"]
        return not failing, ", ".join(failing)

    await until("nothing fails", well, timeout=timeout)


async def forgive(store: Store, city: str, *, timeout: float = 120) -> None:
    """Wait for the end of its failover, and forget it. Raises: NotInTimeError."""
    key = keys.failover(city)

    async def forgiven() -> tuple[bool, str]:
        found = await store.get(key, timeout=3.0)
        if found is None:
            return True, ""
        record = FailoverRecord.model_validate_json(found.value)
        if record.state != "Ended":
            return False, f"{record.state}: {record.message}"
        # Guarded: the next one may begin in this very moment, and nobody would ever hear of its end.
        done = await store.txn([Guard(key, found.mod_revision)], [Delete(key)], timeout=3.0)
        return done.succeeded, "the next one begins"

    await until(f"the failover of {city} is over and forgiven", forgiven, timeout=timeout)
