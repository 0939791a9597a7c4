"""Phones register with the password of the directory, and with no other."""

import pytest

from tests.contract.softswitch.conftest import Floor
from tests.contract.softswitch.kamailio import Softswitch

pytestmark = pytest.mark.contract


async def test_a_phone_of_the_directory_registers_after_one_challenge(east: Softswitch, floor: Floor) -> None:
    phone = floor.phone(east)
    challenge = await phone.send_register()
    assert challenge.code == 401
    assert 'realm="callcenter"' in challenge.get("www-authenticate")
    assert (await phone.send_register(phone.authorization(challenge))).code == 200


async def test_a_wrong_password_is_challenged_again_and_registers_nothing(east: Softswitch, floor: Floor) -> None:
    phone = floor.phone(east, 1, password="wrong")
    assert (await phone.register()).code == 401
