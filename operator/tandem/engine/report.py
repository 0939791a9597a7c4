"""The report of one system of this city: assembled from CTI and softswitch, published at the right moment.

What somebody waits for (a map acknowledged, the last agent of a wave gone) goes out within 0.1 s; everything else twice
a second, for each report is read and acted on in every location; and never more bytes than the store should bear.
"""

from collections.abc import Mapping

from tandem.constants import REPORT_BYTES_PER_S, REPORT_COALESCE_S, REPORT_INTERVAL_S
from tandem.domain import keys
from tandem.domain.capabilities import CTICapabilities
from tandem.domain.placement import BucketMap
from tandem.domain.records import GroupReport, SystemReport
from tandem.engine.picture import Picture
from tandem.engine.ports import Clock, SoftswitchState
from tandem.engine.publisher import Publisher
from tandem.engine.wakeup import Signal


def is_urgent(before: GroupReport | None, after: GroupReport, placement: BucketMap | None, site: str) -> bool:
    """Whether somebody waits for this: a map was acknowledged, or the last bucket leaving `site` became empty.

    Buckets that empty before the last one are no hurry: their agents enter by ticket, and only a fresh sign-in needs
    the commit that opens their door.
    """
    if before is None or before.revision != after.revision:
        return True
    if placement is None:
        return False
    leaving = [str(bucket) for bucket, slot in placement.in_transit.items() if slot.site == site]
    return any(before.buckets.get(bucket) for bucket in leaving) and not any(
        after.buckets.get(bucket) for bucket in leaving
    )


class Reporter:
    def __init__(self, site: str, system: str, picture: Picture, publisher: Publisher, clock: Clock) -> None:
        self._site = site
        self._key = keys.report(site, system)
        self._picture = picture
        self._publisher = publisher
        self._clock = clock
        self._boot = ""
        self._confirmed = False
        self._groups: dict[str, GroupReport] = {}
        self._capabilities: CTICapabilities | None = None
        self._sign_in_rate = 0.0
        self._softswitch = SoftswitchState(0, 0, 0)
        self._softswitch_revision = 0
        self._calls_per_second: float | None = None
        self._signal = Signal()
        self._dirty = False
        self._urgent_at: float | None = None

    def cti(self, boot: str, confirmed: bool, groups: Mapping[str, GroupReport], *, everything: bool) -> None:
        """What the CTI says. `everything`: groups that are not named are gone."""
        placements = self._picture.snapshot.placements
        urgent = (boot, confirmed) != (self._boot, self._confirmed)
        for name, report in groups.items():
            placed = placements.get(name)
            urgent |= is_urgent(self._groups.get(name), report, placed.map if placed else None, self._site)
        changed = urgent or any(self._groups.get(name) != report for name, report in groups.items())
        if everything:
            changed |= self._groups.keys() != groups.keys()
            self._groups = dict(groups)
        else:
            self._groups.update(groups)
        self._boot, self._confirmed = boot, confirmed
        if changed:
            self._changed(urgent)

    def cti_lost(self) -> None:
        """The CTI does not answer: this city says nothing of it any more. No report is not an empty report."""
        self._boot = ""
        self._groups = {}
        self._publisher.unsay(self._key)

    def capabilities(self, found: CTICapabilities) -> None:
        """What this CTI can do."""
        if found != self._capabilities:
            self._capabilities = found
            self._changed(False)

    def sign_in_rate(self, rate: float) -> None:
        """Sign-ins a second that this CTI bears now; 0: it does not say."""
        if rate != self._sign_in_rate:
            self._sign_in_rate = rate
            self._changed(False)

    def softswitch(self, state: SoftswitchState, revision: int, calls_per_second: float | None) -> None:
        """What the softswitch says, the revision that it holds of every group, and its new calls a second."""
        before = self._said_of_the_softswitch
        restarted = state.uptime < self._softswitch.uptime
        self._softswitch, self._softswitch_revision, self._calls_per_second = state, revision, calls_per_second
        if restarted or before != self._said_of_the_softswitch:
            self._changed(False)

    @property
    def _said_of_the_softswitch(self) -> tuple[object, ...]:
        """What is worth a report when it changes: its uptime is not."""
        state = self._softswitch
        return state.registered, state.calls, self._softswitch_revision, self._calls_per_second

    async def run(self) -> None:
        """Publish when due, until cancelled."""
        last_sent = -REPORT_INTERVAL_S
        pause = 0.0
        while True:
            await self._signal.wait()
            while self._dirty:
                due = last_sent + max(REPORT_INTERVAL_S, pause)
                if self._urgent_at is not None:
                    due = max(self._urgent_at + REPORT_COALESCE_S, last_sent + pause)
                left = due - self._clock.monotonic()
                if left > 0:
                    await self._signal.wait(left)
                    continue
                self._dirty, self._urgent_at = False, None
                if self._boot:
                    size = self._publish()
                    last_sent, pause = self._clock.monotonic(), size / REPORT_BYTES_PER_S

    def _changed(self, urgent: bool) -> None:
        wake = not self._dirty
        self._dirty = True
        if urgent and self._urgent_at is None:
            self._urgent_at = self._clock.monotonic()
            wake = True
        if wake:
            self._signal.give()

    def _publish(self) -> int:
        record = SystemReport(
            boot=self._boot,
            confirmed=self._confirmed,
            groups=dict(self._groups),
            softswitch_uptime=self._softswitch.uptime,
            softswitch_version=self._softswitch.version,
            softswitch_revision=self._softswitch_revision,
            registered=self._softswitch.registered,
            calls=self._softswitch.calls,
            calls_per_second=self._calls_per_second,
            capabilities=self._capabilities,
            sign_in_rate=self._sign_in_rate,
            at=self._clock.now(),
        )
        self._publisher.say(self._key, record)
        return len(record.encode())
