"""A pod in every city that says who asked it: CoreDNS with `whoami`, behind NodePorts.

Ports: 31853 (UDP and TCP) answers with the caller's address; 31854 passes the question on to the next city's 31853,
so that one sees under which address pods leave their city; 31855 passes it on to the city's own DNS.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any, Final

import yaml

from lab import tools
from lab.addresses import CITIES, City
from lab.commands import run_async
from lab.components import COREDNS_IMAGE
from lab.interface import Lab

NAMESPACE: Final = "lab-probe"
POD: Final = f"pod/{NAMESPACE}/whoami"
WHO: Final = 31853
WHO_NEXT_DOOR: Final = 31854
DNS: Final = 31855

ASK: Final = """
import json, socket, struct, sys
host, port, kind, name = sys.argv[1], int(sys.argv[2]), sys.argv[3], sys.argv[4]
labels = b"".join(bytes([len(part)]) + part.encode() for part in name.split(".")) + bytes(1)
question = struct.pack(">6H", 7, 0x100, 1, 0, 0, 0) + labels + struct.pack(">2H", 1, 1)
try:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM) as s:
        s.settimeout(1.5)
        s.connect((host, port))
        s.sendall((struct.pack(">H", len(question)) if kind == "tcp" else b"") + question)
        answer = s.recv(4096)
        if kind == "tcp":
            answer = answer[2:] or s.recv(4096)
except OSError as error:
    print(json.dumps({"error": type(error).__name__}))
    sys.exit()

def skip_name(at):
    while answer[at]:
        if answer[at] >= 192:
            return at + 2
        at += answer[at] + 1
    return at + 1

at, addresses = skip_name(12) + 4, []
for _ in range(sum(struct.unpack(">3H", answer[6:12]))):
    at = skip_name(at)
    kind_of, _, _, length = struct.unpack(">2HIH", answer[at:at + 10])
    if kind_of == 1:
        addresses.append(socket.inet_ntoa(answer[at + 10:at + 14]))
    at += 10 + length
print(json.dumps({"address": addresses[0] if addresses else None}))
"""


def manifests(city: City) -> str:
    """Deployment and Services for one city."""
    around = list(CITIES.values())
    neighbour = around[(around.index(city) + 1) % len(around)]
    corefile = (
        ".:5353 {\n whoami\n}\n"
        f".:5354 {{\n forward . {neighbour.address}:{WHO}\n}}\n"
        f".:5355 {{\n forward . {city.dns}\n}}\n"
    )
    labels = {"app": "whoami"}
    metadata = {"name": "whoami", "namespace": NAMESPACE}
    container = {
        "name": "whoami",
        "image": COREDNS_IMAGE,
        "imagePullPolicy": "Never",
        "args": ["-conf", "/etc/coredns/Corefile"],
        "resources": {"requests": {"cpu": "20m"}},
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns"}],
    }
    ports = [("UDP", 5353, WHO), ("TCP", 5353, WHO), ("UDP", 5354, WHO_NEXT_DOOR), ("UDP", 5355, DNS)]
    objects: list[dict[str, Any]] = [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"Corefile": corefile}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": metadata,
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {
                    "metadata": {"labels": labels},
                    "spec": {
                        "terminationGracePeriodSeconds": 0,
                        "containers": [container],
                        "volumes": [{"name": "config", "configMap": {"name": "whoami"}}],
                    },
                },
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": metadata,
            "spec": {
                "type": "NodePort",
                "externalTrafficPolicy": "Local",
                "selector": labels,
                "ports": [
                    {"name": f"p{index}", "protocol": protocol, "port": port, "nodePort": node_port}
                    for index, (protocol, port, node_port) in enumerate(ports)
                ],
            },
        },
    ]
    return str(yaml.safe_dump_all(objects))


async def install(lab: Lab) -> None:
    """Put the pod into every city and wait until it answers."""
    for city in CITIES.values():
        await kubectl(lab, city.name, "apply", "-f", "-", stdin=manifests(city))
    for name in CITIES:
        await kubectl(lab, name, "-n", NAMESPACE, "rollout", "status", "deployment/whoami", "--timeout=60s")


async def kubectl(lab: Lab, city: str, *arguments: str, stdin: str | None = None) -> str:
    """kubectl in one city."""
    return await run_async(
        [str(tools.path("kubectl")), "--kubeconfig", str(lab.kubeconfig(city)), *arguments], stdin=stdin, timeout=90.0
    )


async def ask(
    lab: Lab, log: Path, *, at: str, city: str, port: int = WHO, kind: str = "udp", name: str = "example.org"
) -> dict[str, Any]:
    """Ask a city's NodePort from the location `at`: `{"address": ...}`, or `{"error": "TimeoutError"}` and the like."""
    command = [sys.executable, "-c", ASK, str(CITIES[city].address), str(port), kind, name]
    said = await output(lab, log, at=at, command=command)
    answer: dict[str, Any] = json.loads(said.splitlines()[-1])
    return answer


async def output(lab: Lab, log: Path, *, at: str, command: list[str]) -> str:
    """What a command in a location's network printed so far into `log`."""
    process = lab.spawn(at, command, log=log)
    await asyncio.to_thread(process.wait, 10)
    return await asyncio.to_thread(log.read_text)
