"""The programs of one city: their command lines and configuration files. Pure: text in, text out.

What bites is written beside the line that avoids it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from lab.addresses import CLUSTER_DOMAIN, NODE_PORTS, City
from lab.cgroups import ROOT as CGROUP_ROOT
from lab.paths import CityPaths
from lab.tools import KUBERNETES_VERSION

PAUSE_IMAGE: Final = "tandem.dev/lab/pause:1"
COREDNS_IMAGE: Final = "tandem.dev/lab/coredns:1"

CNI_PLUGINS: Final = (Path("/usr/lib/cni"), Path("/opt/cni/bin"))
"""Debian's folder, then the one of most other installations."""


@dataclass(frozen=True)
class CitySetup:
    """What the command lines and files are made from."""

    city: City
    paths: CityPaths
    cni_plugins: Path


def cgroup_of(location: str) -> str:
    """Control group of a location, below every hierarchy's root."""
    return f"{CGROUP_ROOT}/{location}"


def files(setup: CitySetup) -> Mapping[Path, str]:
    """Every configuration file of the city, by path."""
    config = setup.paths.config
    return {
        config / "kubeadm.yaml": _documents(*kubeadm(setup)),
        config / "kubelet.yaml": _documents(kubelet(setup)),
        config / "kube-proxy.yaml": _documents(kube_proxy(setup)),
        config / "containerd.toml": containerd(setup),
        config / "cni" / "10-tandem.conflist": _documents(cni(setup)),
        # Nothing leaves the machine: a pod with `dnsPolicy: Default` has nobody to ask.
        config / "resolv.conf": "nameserver 127.0.0.1\n",
    }


def argv(setup: CitySetup, component: str, binary: Path) -> list[str]:
    """The command line of one component."""
    flags = {
        "etcd": _etcd,
        "kube-apiserver": _apiserver,
        "kube-controller-manager": _controller_manager,
        "kube-scheduler": _scheduler,
        "containerd": _containerd,
        "kubelet": _kubelet,
        "kube-proxy": _kube_proxy,
    }[component](setup)
    return [str(binary), *(f"--{name}={value}" for name, value in flags.items())]


def _documents(*documents: Mapping[str, Any]) -> str:
    # JSON is YAML, and CNI reads only JSON: one format for all would lose kubeadm's several documents.
    if len(documents) == 1:
        return json.dumps(documents[0], indent=1) + "\n"
    return str(yaml.safe_dump_all(documents, sort_keys=False))


def kubeadm(setup: CitySetup) -> tuple[dict[str, Any], ...]:
    """Configuration of `kubeadm init phase certs` and `phase kubeconfig`; nothing else of kubeadm is used."""
    city, paths = setup.city, setup.paths
    version = {"apiVersion": "kubeadm.k8s.io/v1beta4"}
    return (
        {
            **version,
            "kind": "InitConfiguration",
            "localAPIEndpoint": {"advertiseAddress": str(city.address), "bindPort": 6443},
            "nodeRegistration": {"name": city.name, "criSocket": f"unix://{paths.containerd_socket}"},
        },
        {
            **version,
            "kind": "ClusterConfiguration",
            "clusterName": city.name,
            "kubernetesVersion": KUBERNETES_VERSION,
            "certificatesDir": str(paths.pki),
            "controlPlaneEndpoint": f"{city.address}:6443",
            # Elliptic keys take milliseconds, RSA ones seconds.
            "encryptionAlgorithm": "ECDSA-P256",
            "networking": {
                "serviceSubnet": str(city.services),
                "podSubnet": str(city.pods),
                "dnsDomain": CLUSTER_DOMAIN,
            },
        },
    )


def kubelet(setup: CitySetup) -> dict[str, Any]:
    """KubeletConfiguration."""
    paths = setup.paths
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": str(setup.city.address),
        "authentication": {"anonymous": {"enabled": False}, "x509": {"clientCAFile": str(paths.pki / "ca.crt")}},
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": f"/{cgroup_of(setup.city.name)}",
        "failCgroupV1": False,
        "clusterDNS": [str(setup.city.dns)],
        "clusterDomain": CLUSTER_DOMAIN,
        "containerRuntimeEndpoint": f"unix://{paths.containerd_socket}",
        # A second crash within ten minutes waits 2 s, not 10 s, then 20 s ...: tests kill the same pod many times.
        "crashLoopBackOff": {"maxContainerRestartPeriod": "2s"},
        "enforceNodeAllocatable": [],
        # The cities share the machine's disk with everything else on it: its fill level says nothing about them.
        "evictionHard": {"imagefs.available": "0%", "nodefs.available": "0%", "nodefs.inodesFree": "0%"},
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "failSwapOn": False,
        "oomScoreAdj": 0,
        # Two kubelets that share /var/log/pods delete each other's logs.
        "podLogsDir": str(paths.pod_logs),
        "resolvConf": str(paths.config / "resolv.conf"),
        "allowedUnsafeSysctls": ["net.ipv4.tcp_retries2"],
        "serializeImagePulls": False,
        "volumePluginDir": str(paths.kubelet / "volume-plugins"),
    }


def kube_proxy(setup: CitySetup) -> dict[str, Any]:
    """KubeProxyConfiguration."""
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clientConnection": {"kubeconfig": str(setup.paths.kubeconfig("kube-proxy"))},
        "clusterCIDR": str(setup.city.pods),
        "detectLocalMode": "ClusterCIDR",
        "hostnameOverride": setup.city.name,
        # The connection table's size belongs to the machine; in a namespace it is read-only and writing it is fatal.
        "conntrack": {"maxPerCore": 0, "min": 0},
        "oomScoreAdj": 0,
        "nftables": {"minSyncPeriod": "100ms"},
    }


def containerd(setup: CitySetup) -> str:
    """containerd's configuration (version 2: understood by 1.6, 1.7 and 2.x)."""
    paths = setup.paths
    return f"""\
version = 2
root = "{paths.containerd}"
state = "{paths.containerd_state}"
oom_score = 0
disabled_plugins = [
  "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs", "io.containerd.internal.v1.opt", "io.containerd.tracing.processor.v1.otlp",
  "io.containerd.internal.v1.tracing"]

[grpc]
  address = "{paths.containerd_socket}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  # Without CAP_SYS_RESOURCE runc dies with "can't get final child's PID from pipe".
  restrict_oom_score_adj = true
  # Pods' namespaces in our own folder: then `down` knows which ones are ours.
  netns_mounts_under_state_dir = true
  stream_server_address = "127.0.0.1"

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "{setup.cni_plugins}"
  conf_dir = "{paths.config / "cni"}"

[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "overlayfs"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
  SystemdCgroup = false
  Root = "{paths.runc}"
"""


def cni(setup: CitySetup) -> dict[str, Any]:
    """The pods' network: a routed pair per pod.

    Not a bridge: on one, a pod's answer to a pod that asked through a Service takes the short way and is not
    translated back, unless the machine's br_netfilter is switched on.
    """
    return {
        "cniVersion": "0.4.0",
        "name": cni_network(setup.city.name),
        "plugins": [
            {
                "type": "ptp",
                "ipMasq": False,  # our own rule does it, without iptables
                "ipam": {
                    "type": "host-local",
                    "dataDir": str(setup.paths.ipam),
                    "ranges": [[{"subnet": str(setup.city.pods)}]],
                    "routes": [{"dst": "0.0.0.0/0"}],
                },
            }
        ],
    }


def cni_network(city: str) -> str:
    """Name of the city's pod network; CNI's result cache in /var/lib/cni is sorted by it."""
    return f"tandem-lab-{city}"


def _etcd(setup: CitySetup) -> dict[str, str]:
    return {
        "name": setup.city.name,
        "data-dir": str(setup.paths.etcd),
        "listen-client-urls": "http://127.0.0.1:2379",
        "advertise-client-urls": "http://127.0.0.1:2379",
        "listen-peer-urls": "http://127.0.0.1:2380",
        "initial-advertise-peer-urls": "http://127.0.0.1:2380",
        "initial-cluster": f"{setup.city.name}=http://127.0.0.1:2380",
        # The cluster's own store only, never Tandem's: it survives a power-off of the city, which is all that happens.
        "unsafe-no-fsync": "true",
        "log-level": "warn",
    }


def _apiserver(setup: CitySetup) -> dict[str, str]:
    pki = setup.paths.pki
    return {
        "advertise-address": str(setup.city.address),
        "secure-port": "6443",
        "etcd-servers": "http://127.0.0.1:2379",
        "service-cluster-ip-range": str(setup.city.services),
        "service-node-port-range": f"{NODE_PORTS[0]}-{NODE_PORTS[1]}",
        "authorization-mode": "Node,RBAC",
        "enable-admission-plugins": "NodeRestriction",
        "allow-privileged": "true",
        "client-ca-file": str(pki / "ca.crt"),
        "tls-cert-file": str(pki / "apiserver.crt"),
        "tls-private-key-file": str(pki / "apiserver.key"),
        "kubelet-client-certificate": str(pki / "apiserver-kubelet-client.crt"),
        "kubelet-client-key": str(pki / "apiserver-kubelet-client.key"),
        # The node's name resolves nowhere: without this `kubectl logs` fails.
        "kubelet-preferred-address-types": "InternalIP",
        "proxy-client-cert-file": str(pki / "front-proxy-client.crt"),
        "proxy-client-key-file": str(pki / "front-proxy-client.key"),
        "requestheader-client-ca-file": str(pki / "front-proxy-ca.crt"),
        "requestheader-allowed-names": "front-proxy-client",
        "requestheader-extra-headers-prefix": "X-Remote-Extra-",
        "requestheader-group-headers": "X-Remote-Group",
        "requestheader-username-headers": "X-Remote-User",
        "service-account-issuer": f"https://kubernetes.default.svc.{CLUSTER_DOMAIN}",
        "service-account-key-file": str(pki / "sa.pub"),
        "service-account-signing-key-file": str(pki / "sa.key"),
        "profiling": "false",
    }


def _controller_manager(setup: CitySetup) -> dict[str, str]:
    paths = setup.paths
    config = str(paths.kubeconfig("controller-manager"))
    return {
        "kubeconfig": config,
        "authentication-kubeconfig": config,
        "authorization-kubeconfig": config,
        "bind-address": "127.0.0.1",
        "cluster-name": setup.city.name,
        "client-ca-file": str(paths.pki / "ca.crt"),
        "root-ca-file": str(paths.pki / "ca.crt"),
        "requestheader-client-ca-file": str(paths.pki / "front-proxy-ca.crt"),
        "cluster-signing-cert-file": str(paths.pki / "ca.crt"),
        "cluster-signing-key-file": str(paths.pki / "ca.key"),
        "service-account-private-key-file": str(paths.pki / "sa.key"),
        "use-service-account-credentials": "true",
        "leader-elect": "false",
        "allocate-node-cidrs": "false",
        "flex-volume-plugin-dir": str(paths.kubelet / "volume-plugins"),
        "profiling": "false",
    }


def _scheduler(setup: CitySetup) -> dict[str, str]:
    config = str(setup.paths.kubeconfig("scheduler"))
    return {
        "kubeconfig": config,
        "authentication-kubeconfig": config,
        "authorization-kubeconfig": config,
        "bind-address": "127.0.0.1",
        "leader-elect": "false",
        "profiling": "false",
    }


def _containerd(setup: CitySetup) -> dict[str, str]:
    return {"config": str(setup.paths.config / "containerd.toml")}


def _kubelet(setup: CitySetup) -> dict[str, str]:
    paths = setup.paths
    return {
        "config": str(paths.config / "kubelet.yaml"),
        "kubeconfig": str(paths.kubeconfig("kubelet")),
        "root-dir": str(paths.kubelet),
        "cert-dir": str(paths.pki / "kubelet"),
        "hostname-override": setup.city.name,
        "node-ip": str(setup.city.address),
        "node-labels": f"topology.kubernetes.io/region={setup.city.name},topology.kubernetes.io/zone={setup.city.name}",
        "v": "1",
    }


def _kube_proxy(setup: CitySetup) -> dict[str, str]:
    return {"config": str(setup.paths.config / "kube-proxy.yaml")}
