"""Manifests of Tandem's objects for tests, with what a test cares about as arguments."""

from typing import Any


def site(name: str = "east", **spec: Any) -> dict[str, Any]:
    """An Active Site with a hotel system, or the witness."""
    if name == "witness":
        spec = {"role": "Witness", "failureDomain": name, "engineURL": f"http://{name}:30590", **spec}
    else:
        spec = {
            "role": "Active",
            "failureDomain": name,
            "engineURL": f"http://{name}:30590",
            "systems": [system()],
            **spec,
        }
    return {"apiVersion": "tandem.dev/v1alpha1", "kind": "Site", "metadata": {"name": name}, "spec": spec}


def system(name: str = "hotel", **changes: Any) -> dict[str, Any]:
    """One system of a Site."""
    return {
        "name": name,
        "softswitch": {
            "deployment": f"callcenter/softswitch-{name}",
            "sip": "198.18.0.11:30560",
            "controlURL": f"http://softswitch-{name}.callcenter.svc:8080/RPC",
            "capacity": {"agents": 1000, "callsPerSecond": 50},
        },
        "cti": {
            "deployment": f"callcenter/cti-{name}",
            "url": "http://198.18.0.11:30580",
            "controlURL": f"http://cti-{name}.callcenter.svc:8081",
            "capacity": {"agents": 1000, "signInsPerSecond": 500},
        },
        **changes,
    }


def group(name: str = "sales", **spec: Any) -> dict[str, Any]:
    """An AgentGroup of 100 agents, all at east."""
    spec = {
        "system": "hotel",
        "region": "north",
        "skillGroup": "sales",
        "agents": 100,
        "sites": ["east", "west"],
        "placement": [{"site": "east", "percent": 100}],
        **spec,
    }
    return namespaced("AgentGroup", name, spec)


def trunk(name: str = "hotel", **spec: Any) -> dict[str, Any]:
    """A Trunk with three routes."""
    spec = {
        "carrier": {"url": "http://198.18.0.31:8080"},
        "system": "hotel",
        "numbers": [{"number": "4930100", "group": "sales"}],
        "routes": [
            {"name": "first", "site": "east", "weight": 60},
            {"name": "second", "site": "west", "weight": 40},
            {"name": "third", "site": "east"},
        ],
        "capacity": {"channels": 100, "callsPerSecond": 10},
        **spec,
    }
    return namespaced("Trunk", name, spec)


def shift(name: str = "to-west", **spec: Any) -> dict[str, Any]:
    """A Shift of the group `sales` to west; what is None is left out."""
    given = {"selector": {"names": ["sales"]}, "to": "west", **spec}
    return namespaced("Shift", name, {field: value for field, value in given.items() if value is not None})


def drill(name: str = "monthly", **spec: Any) -> dict[str, Any]:
    """A Drill of the group `sales` to west and back."""
    return namespaced("Drill", name, {"shift": {"selector": {"names": ["sales"]}, "to": "west"}, **spec})


def namespaced(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": "tandem.dev/v1alpha1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "callcenter"},
        "spec": spec,
    }


def annotated(manifest: dict[str, Any], **annotations: str) -> dict[str, Any]:
    """The same with annotations; `order_id` stands for `tandem.dev/order-id`."""
    named = {f"tandem.dev/{name.replace('_', '-')}": value for name, value in annotations.items()}
    return {**manifest, "metadata": {**manifest["metadata"], "annotations": named}}
