"""The supervisor: starts worker processes, replaces them, and never loses a request doing it."""
