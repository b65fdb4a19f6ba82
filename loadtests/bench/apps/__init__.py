"""What the servers run: WSGI applications, which are the same for all, and in websocket/ a program for each server."""
