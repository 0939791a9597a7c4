"""Guests: how many agents of other cities each system of a Site may take in."""

from tandem.api.site import SiteSpec


def guest_capacity(site: SiteSpec | None, system: str) -> int:
    """A system's part of its Site's `guestCapacity`, by what the CTIs carry; the parts never sum up to more.

    The CTIs of a Site do not know of each other's guests, so each has a part of its own.
    """
    if site is None:
        return 0
    sizes = {entry.name: entry.cti.capacity.agents for entry in site.systems}
    if system not in sizes:
        return 0
    return site.guest_capacity * sizes[system] // sum(sizes.values())
