"""What each cluster holds from its first minute: the administrator's rights and CoreDNS. Pure."""

from typing import Any, Final

import yaml

from lab.addresses import CLUSTER_DOMAIN, City
from lab.components import COREDNS_IMAGE

_NAMESPACE: Final = "kube-system"
_RBAC: Final = "rbac.authorization.k8s.io"
_LABELS: Final = {"k8s-app": "kube-dns"}

COREFILE: Final = f"""\
.:53 {{
    errors
    health :8080
    ready :8181
    kubernetes {CLUSTER_DOMAIN} in-addr.arpa ip6.arpa {{
        pods insecure
        ttl 5
    }}
    cache 5
    loadbalance
}}
"""
"""No `forward`: nothing leaves the machine, so every other name is refused at once instead of timing out."""


def bootstrap(city: City) -> str:
    """All objects as YAML documents, for `kubectl apply`."""
    return str(yaml.safe_dump_all([_administrators(), _api_server(), *_coredns(city)], sort_keys=False))


def _administrators() -> dict[str, Any]:
    # kubeadm's admin.conf belongs to this group; only super-admin.conf has rights by itself.
    name = "kubeadm:cluster-admins"
    return _binding(name, "cluster-admin", {"apiGroup": _RBAC, "kind": "Group", "name": name})


def _api_server() -> dict[str, Any]:
    # As kubeadm does since 1.36.1: else a kubelet lets the API server neither exec nor read logs nor forward ports.
    user = {"apiGroup": _RBAC, "kind": "User", "name": "kube-apiserver-kubelet-client"}
    return _binding("kubeadm:apiserver-kubelet-client", "system:kubelet-api-admin", user)


def _binding(name: str, role: str, subject: dict[str, Any]) -> dict[str, Any]:
    return {
        "apiVersion": f"{_RBAC}/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": name},
        "roleRef": {"apiGroup": _RBAC, "kind": "ClusterRole", "name": role},
        "subjects": [subject],
    }


def _coredns(city: City) -> list[dict[str, Any]]:
    metadata = {"name": "coredns", "namespace": _NAMESPACE}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata},
        {
            "apiVersion": f"{_RBAC}/v1",
            "kind": "ClusterRole",
            "metadata": {"name": "system:coredns"},
            "rules": [
                {"apiGroups": [""], "resources": ["services", "pods", "namespaces"], "verbs": ["list", "watch"]},
                {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
            ],
        },
        _binding("system:coredns", "system:coredns", {"kind": "ServiceAccount", **metadata}),
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"Corefile": COREFILE}},
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {**metadata, "labels": _LABELS},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": _LABELS},
                "template": {"metadata": {"labels": _LABELS}, "spec": _coredns_pod()},
            },
        },
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "kube-dns", "namespace": _NAMESPACE, "labels": _LABELS},
            "spec": {
                "clusterIP": str(city.dns),
                "selector": _LABELS,
                "ports": [
                    {"name": "dns", "port": 53, "protocol": "UDP"},
                    {"name": "dns-tcp", "port": 53, "protocol": "TCP"},
                ],
            },
        },
    ]


def _coredns_pod() -> dict[str, Any]:
    return {
        "serviceAccountName": "coredns",
        "priorityClassName": "system-cluster-critical",
        "dnsPolicy": "Default",
        "terminationGracePeriodSeconds": 1,
        "containers": [
            {
                "name": "coredns",
                "image": COREDNS_IMAGE,
                "imagePullPolicy": "Never",
                "args": ["-conf", "/etc/coredns/Corefile"],
                "ports": [
                    {"name": "dns", "containerPort": 53, "protocol": "UDP"},
                    {"name": "dns-tcp", "containerPort": 53, "protocol": "TCP"},
                ],
                "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
                "livenessProbe": {"httpGet": {"path": "/health", "port": 8080}, "initialDelaySeconds": 30},
                "resources": {"requests": {"cpu": "100m", "memory": "40Mi"}, "limits": {"memory": "200Mi"}},
                "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns", "readOnly": True}],
            }
        ],
        "volumes": [{"name": "config", "configMap": {"name": "coredns"}}],
    }
