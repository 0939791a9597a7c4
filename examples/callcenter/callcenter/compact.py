"""JSON as it travels and is kept here: without a space that nobody reads."""

import json
from typing import Final

to_json: Final = json.JSONEncoder(separators=(",", ":")).encode
"""A value as JSON text. Made once: `json.dumps` makes an encoder for each call, which takes as long as the call."""
