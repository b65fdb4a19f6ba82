"""gevent's tests of `pywsgi`, run against hublet's server in a process of their own."""
