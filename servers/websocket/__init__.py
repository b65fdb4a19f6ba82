"""WebSocket (RFC 6455, RFC 7692): handshake and codecs without I/O, and the session that drives them."""
