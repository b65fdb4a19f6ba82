"""gunicorn's settings as hublet understands them."""
