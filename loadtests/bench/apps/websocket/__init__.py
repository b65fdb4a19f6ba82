"""The WebSocket servers' programs. There is no common interface, so each server has one, in its own usual style.

A program for the servers without a command of their own is run with host and port as its arguments. On any path it
answers every message by the same message. Those that take part in the broadcast send a constant to every connection on
/broadcast, again and again, as long as there is a connection on /publish.
"""
