"""HTTP/1.1, WSGI and the server that users start."""
