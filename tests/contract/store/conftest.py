"""One etcd for the contract, one cluster of three for what happens when members fail."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.etcd import EtcdCluster


@pytest.fixture(scope="session")
def single(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    """One member, plain HTTP."""
    cluster = EtcdCluster(tmp_path_factory.mktemp("etcd"))
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture(scope="session")
def running_three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdCluster]:
    cluster = EtcdCluster(tmp_path_factory.mktemp("etcd3"), size=3, tls=True)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def three(running_three: EtcdCluster) -> Iterator[EtcdCluster]:
    """Three members with mutual TLS, all well at the start, whatever a test before did."""
    running_three.heal()
    yield running_three
    running_three.heal()


@pytest.fixture
def three_plain(tmp_path: Path) -> Iterator[EtcdCluster]:
    """Three members of a test's own, plain HTTP."""
    cluster = EtcdCluster(tmp_path / "etcd", size=3)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
