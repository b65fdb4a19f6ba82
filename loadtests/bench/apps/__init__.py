"""The WSGI applications that every server runs alike."""
