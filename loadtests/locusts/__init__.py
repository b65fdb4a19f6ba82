"""`hublet loadtest`: locust users, load shapes, and a report with the server's own statistics on the same time axis.

Nothing here is imported unless the command is used: hublet itself works without locust.
"""
