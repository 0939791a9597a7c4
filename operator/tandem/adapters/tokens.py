"""Carriers' tokens, as the operator hands them over: files in memory, by namespace, Secret and key."""

from pathlib import Path

from tandem.api.trunk import SecretRef
from tandem.engine.ports import AdapterError


def token_of(folder: Path | None, secret: SecretRef) -> str:
    """The token that a Trunk's `credentials` names, read anew each time: it may be changed while we run.

    Raises: AdapterError when it is not there (yet), or when namespaces have different ones under this name.
    """
    named = f"Secret {secret.name}, key {secret.key}, named by spec.carrier.credentials"
    if folder is None:
        raise AdapterError(f"{named}: this engine is given no credentials; set TANDEM_CREDENTIALS")
    try:
        found = {path.read_text().strip() for path in folder.glob(f"*/{secret.name}/{secret.key}")}
    except (OSError, UnicodeError) as error:
        raise AdapterError(f"{named} cannot be read: {error}") from error
    if not found:
        raise AdapterError(f"{named} has not been handed over by the operator; its Trunk's conditions say why")
    if len(found) > 1:
        raise AdapterError(f"{named} exists in several namespaces with different tokens; give one another name")
    token = found.pop()
    if not (token.isascii() and token.isprintable()):
        raise AdapterError(f"{named} is no token: it may have printable ASCII characters only")
    return token
