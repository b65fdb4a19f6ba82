"""TLS: certificates, handshakes, and everything that plain connections do."""
