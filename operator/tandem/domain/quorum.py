"""Quorum: whether the store would still take a commit if a location were lost with its member.

An engine whose own member is dead lives on by another location's: every heartbeat is there, and the next loss takes the
majority away. Each location's engine says how its own member is, and the members say how many they are; where an engine
says nothing of it, an older one, nothing is held against its member. Pure.
"""

from tandem.domain.snapshot import Snapshot


def lost_with(snapshot: Snapshot, home: str) -> str:
    """Why the store would have no majority without the location `home`; empty: it would, or nothing is known."""
    words = {site: entry.record for site, entry in snapshot.store_members.items()}
    voters = max((word.voters for word in words.values() if word.works), default=0)
    majority = voters // 2 + 1
    # By their IDs: two engines that were given the same member as theirs speak of one.
    lost = words[home].member if home in words else ""
    working = {word.member for site, word in words.items() if word.works and site != home} - {lost}
    unsaid = snapshot.heartbeats.keys() - words.keys() - {home}
    left = len(working) + len(unsaid)
    if not voters or left >= majority:
        return ""
    missing = [
        f"the one at {site} does not take part ({word.detail}): look at the etcd there, restart it, free its disk or "
        "replace it"
        for site, word in sorted(words.items())
        if not word.works and site != home
    ]
    missing += [
        f"nobody speaks for the one at {site}: its engine writes nothing, look at it"
        for site in sorted(snapshot.sites.keys() - snapshot.heartbeats.keys() - {home})
    ]
    if not missing:
        missing = [_too_few_or_too_many(len({word.member for word in words.values()}), voters)]
    return (
        f"without {home}, {left} of the store's {voters} members would be known to work, and it takes {majority} to "
        f"commit a failover: {'; '.join(missing)}"
    )


def _too_few_or_too_many(known: int, voters: int) -> str:
    """What is wrong where every member that an engine has as its own takes part."""
    if known < voters:
        return "no engine has the others as its own: `etcdctl member list` names them; remove those that run no more"
    return "add a member at one more location"
