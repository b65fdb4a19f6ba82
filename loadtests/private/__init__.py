"""Servers of one's own for tests and benchmarks: Debian's packages on free ports, not as root, gone at the end.

process.py  the life of one, whatever it is      slow_proxy.py  lets any of them answer late
postgresql.py, mariadb.py, caches.py (memcached, Redis), ldap_directory.py, nats.py
"""
