"""gunicorn: what its worker class and its configuration files mean to hublet."""
