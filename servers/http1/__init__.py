"""HTTP/1.1 (RFC 9110, RFC 9112): parsers and writers without I/O, and the connection that drives them."""
