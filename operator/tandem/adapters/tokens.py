"""Carriers' tokens, as the operator hands them over: files in memory, by namespace, Secret and key."""

from pathlib import Path

from tandem.api.trunk import SecretRef
from tandem.engine.ports import AdapterError


def token_of(folder: Path | None, namespace: str, secret: SecretRef) -> str:
    """The token that `credentials` of a Trunk in `namespace` names, read anew each time: it may change.

    Raises: AdapterError when it is not there (yet), or is none.
    """
    named = f"Secret {namespace}/{secret.name}, key {secret.key}, named by spec.carrier.credentials"
    if folder is None:
        raise AdapterError(f"{named}: this engine is given no credentials; set TANDEM_CREDENTIALS")
    try:
        token = (folder / namespace / secret.name / secret.key).read_text().strip()
    except FileNotFoundError as error:
        message = f"{named} has not been handed over by the operator; its Trunk's conditions say why"
        raise AdapterError(message) from error
    except (OSError, UnicodeError) as error:
        raise AdapterError(f"{named} cannot be read: {error}") from error
    if not (token.isascii() and token.isprintable()):
        raise AdapterError(f"{named} is no token: it may have printable ASCII characters only")
    return token
