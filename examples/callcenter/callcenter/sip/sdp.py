"""Session descriptions: the least that makes an INVITE a call for other implementations. No media flows here."""

from .message import Address


def describe(media: Address, *, session: int) -> bytes:
    """An SDP offer or answer with one PCMA audio stream (RFC 4566).

    Args:
        media: Where audio would go. The port belongs to nobody: this call centre carries no sound.
        session: Number that identifies the session.
    """
    host, port = media
    return (
        f"v=0\r\no=- {session} 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\na=sendrecv\r\n"
    ).encode()
