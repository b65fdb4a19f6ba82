"""TLS under a connection: certificates, the handshake, and the channel that encrypts."""
