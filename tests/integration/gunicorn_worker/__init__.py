"""gunicorn, and what it has in common with hublet: real processes."""
