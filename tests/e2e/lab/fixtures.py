"""Shared by the lab's own end-to-end tests."""

import asyncio
from collections.abc import AsyncIterator

import pytest_asyncio

from lab.addresses import CITIES
from lab.interface import Lab
from tests.e2e.lab import whoami


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def probed(lab: Lab) -> AsyncIterator[Lab]:
    """The lab with a pod in every city that says who asked it."""
    await whoami.install(lab)
    yield lab
    delete = ["delete", "namespace", whoami.NAMESPACE, "--ignore-not-found", "--timeout=60s"]
    await asyncio.gather(*(whoami.kubectl(lab, city, *delete) for city in CITIES))
