"""What the locations say of one Drill.

It may be applied in one cluster or in all of them. Those where somebody applied it are its voices, and they must agree;
copies that operators made to show it elsewhere (`mirrored`) say nothing of the spec, but commands may be given there.
A location that is lost is not asked while another one speaks.
"""

from collections.abc import Mapping, Set

from pydantic import ValidationError

from tandem.api.drill import DrillSpec
from tandem.domain import keys
from tandem.domain.drill_requests import DrillRequest, parse_request
from tandem.domain.records import SpecRecord
from tandem.domain.snapshot import Entry, PublishedDrill


def published_drill(
    name: str, copies: Mapping[str, Entry[SpecRecord]], lost: Set[str], before: PublishedDrill | None, at: float
) -> PublishedDrill | None:
    """The Drill; None when nobody has applied it anywhere.

    Args:
        copies: Site -> what its operator published.
        lost: Sites under a failover.
        before: What was said so far: the spec that was agreed last stands while the voices differ.
        at: Monotonic time of the change.
    """
    voices = {site: entry for site, entry in copies.items() if not entry.record.mirrored}
    voices = {site: entry for site, entry in voices.items() if site not in lost} or voices
    if not voices:
        return None
    sites = tuple(sorted(voices))
    spec = before.spec if before else None
    agreed = len({entry.record.digest for entry in voices.values()}) == 1
    message = "" if agreed else f"{name} differs between {' and '.join(sites)}; apply the same manifest to each of them"
    if agreed:
        try:
            # Strictly, unlike what a rescue needs (`Written.stored`): a run whose conditions this version knows only in
            # part had better wait for the upgrade. One under way has all it needs in its record.
            spec = DrillSpec.model_validate(voices[sites[0]].record.spec)
        except ValidationError as error:
            agreed = False
            first = error.errors(include_url=False)[0]
            message = f"{name}: spec.{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return PublishedDrill(
        name=name,
        spec=spec,
        consistent=agreed,
        message=message,
        since=before.since if before else at,
        voices=sites,
        requests={
            site: request
            for site, entry in sorted(copies.items())
            if isinstance(request := parse_request(entry.record.request), DrillRequest)
        },
        evidence=tuple((keys.spec(site, keys.DRILL, name), voices[site].mod_revision) for site in sites),
    )
