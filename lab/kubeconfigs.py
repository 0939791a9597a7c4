"""Certificates and kubeconfigs of a city, by kubeadm's own phases."""

import base64
from pathlib import Path
from typing import Any

import yaml

from lab.addresses import City
from lab.commands import run
from lab.paths import CityPaths


def create(city: City, paths: CityPaths, kubeadm: Path) -> None:
    """Create the city's authority, certificates and kubeconfigs (0.3 s). `kubeadm.yaml` is there already."""
    config = ["--config", str(paths.config / "kubeadm.yaml")]
    run([str(kubeadm), "init", "phase", "certs", "all", *config])
    run([str(kubeadm), "init", "phase", "kubeconfig", "all", *config, "--kubeconfig-dir", str(paths.config)])
    run([str(kubeadm), "init", "phase", "kubeconfig", "super-admin", *config, "--kubeconfig-dir", str(paths.config)])
    proxy = run([str(kubeadm), "kubeconfig", "user", *config, "--client-name", "system:kube-proxy"])
    write_private(paths.kubeconfig("kube-proxy"), proxy)
    admin = yaml.safe_load(paths.kubeconfig("admin").read_text())
    user = admin["users"][0]["user"]
    write_private(paths.pki / "admin.crt", base64.b64decode(user["client-certificate-data"]).decode())
    write_private(paths.pki / "admin.key", base64.b64decode(user["client-key-data"]).decode())


def for_people(admin: str, city: str) -> str:
    """kubeadm's admin.conf with cluster and context named after the city, so that several files merge well."""
    found: dict[str, Any] = yaml.safe_load(admin)
    cluster, user = found["clusters"][0], found["users"][0]
    name = f"{city}-admin"
    return str(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": city, "cluster": cluster["cluster"]}],
                "users": [{"name": name, "user": user["user"]}],
                "contexts": [{"name": city, "context": {"cluster": city, "user": name}}],
                "current-context": city,
            },
            sort_keys=False,
        )
    )


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read; whoever sees it sees all of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    fresh.touch(mode=0o600)
    fresh.write_text(text)
    fresh.replace(path)
