"""How two workers share the connections of one address, in four ways: `python -m loadtests.sharing` prints a table.

hublet      `hublet --workers 2`: one listening socket, and the load board (servers/load_board.py)
shared      one listening socket, plain epoll: prototype.py
exclusive   the same with EPOLLEXCLUSIVE
reuseport   a listening socket for each worker, SO_REUSEPORT
"""
