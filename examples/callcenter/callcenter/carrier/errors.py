"""CarrierError
- RouteError       a route table or load order that cannot be taken; names field, value and remedy
- StaleRevisionError  a route table older than the one held"""


class CarrierError(Exception):
    """Base of what the carrier's API answers with 4xx."""


class RouteError(CarrierError):
    """The order is wrong; sending it again will not help."""


class StaleRevisionError(CarrierError):
    """The order is older than what is held already."""
