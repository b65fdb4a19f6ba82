"""Every bound that hublet sets on a buffer, a count or a wait, with its default and the reason for it.

Those that a user may change are the defaults of `servers.settings.Settings`; the rest hold for everybody.
Sizes are bytes, times are seconds.
"""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

# Request heads. The figures are those that nginx and Apache users know; a head over them is almost always an attack.
MAX_REQUEST_LINE: Final = 8 * KIB
MAX_HEADER_SIZE: Final = 64 * KIB
MAX_HEADER_FIELDS: Final = 100
# 0: a single field may fill the section.
MAX_FIELD_SIZE: Final = 0
# RFC 9112 section 2.2 asks servers to ignore at least one empty line before a request line; more than a few are noise.
MAX_LEADING_BLANK: Final = 16

# Request bodies. 0: as large as the peer likes, since the application reads at its own pace and nothing is buffered.
MAX_BODY: Final = 0
# Chunk extensions mean nothing to hublet, so a few bytes a chunk are tolerated; without a bound on the sum, one-byte
# chunks with long extensions would cost much more than their content.
MAX_CHUNK_EXTENSION: Final = 256
MAX_CHUNK_EXTENSIONS: Final = 16 * KIB
MAX_TRAILER_SIZE: Final = 8 * KIB
# What is read and thrown away of a body that the application left unread, to save the connection; beyond it a new
# connection is cheaper than the transfer.
MAX_DRAIN: Final = 64 * KIB

# WebSocket messages. A compressor may end its stream within a message (RFC 7692 section 7.2.3.5), which takes a new
# decompressor each time; nobody needs it more than once a fragment, and two bytes are enough to ask for it.
MAX_FINAL_BLOCKS: Final = 1024

# Proxies. A longer way from a client to a server than this is a loop or a forgery.
MAX_PROXY_HOPS: Final = 10
# Peers of which it is remembered whether they are trusted: proxies are few, and strangers may be many.
PEERS_REMEMBERED: Final = 1024

# Waits.
HEAD_TIMEOUT: Final = 10.0
BODY_TIMEOUT: Final = 30.0
WRITE_TIMEOUT: Final = 30.0
HANDSHAKE_TIMEOUT: Final = 10.0
KEEPALIVE_TIMEOUT: Final = 75.0
# After a final error response the peer may still be sending; closing at once would reset the connection and could
# destroy the response before it is read (RFC 9112 section 9.6).
LINGER_TIMEOUT: Final = 2.0
LINGER_BYTES: Final = 1 * MIB
GRACE: Final = 30.0
# A connection that has been used so recently is not closed under its client's hands when the server stops.
DRAIN_IDLE: Final = 0.5
# The clock of deadlines is coarse.
DRAIN_SLACK: Final = 0.05

# Connections and requests.
BACKLOG: Final = 2048
# Descriptors left to the application (database connections, files) when the descriptor limit bounds the connections.
DESCRIPTOR_RESERVE: Final = 64
MAX_IN_FLIGHT: Final = 0
MAX_QUEUED: Final = 1024
# At the limit of connections, one that has been idle for so long is closed to make room for a new one.
EVICTION_AGE: Final = 1.0
# How long accepting pauses at most when there is no room, and when the process or the machine is out of descriptors.
ACCEPT_PAUSE: Final = 0.1
# How long a worker that has more connections than another leaves new ones to that one.
TURN_PAUSE: Final = 0.002
# Over what time clients are told to connect anew when the server restarts, so that they do not all come at once.
RECONNECT_SPREAD: Final = 5.0
# Connections accepted, and pipelined requests served, before the hub gets its turn.
ACCEPT_BATCH: Final = 64
PIPELINE_BATCH: Final = 16
# Body bytes that one greenlet may move without waiting before it lets the hub run.
FAIRNESS_BYTES: Final = 1 * MIB

# What one `recv` asks for: enough for any head, and for a body to move in few calls.
RECV_SIZE: Final = 64 * KIB
# Response head and body are joined in one buffer, for one `send`, up to this size; larger ones go out by `writev`.
JOIN_SIZE: Final = 16 * KIB
SENDFILE_SIZE: Final = 2 * MIB
# For how long, and up to how many bytes, answers of one turn of the loop wait for each other (servers/turn_output.pyx):
# a few of a framework's, or many of a small application's, and less than anybody can tell from the network's noise.
GATHER_TIME: Final = 0.00025
GATHER_BYTES: Final = 64 * KIB

# TLS. What is encrypted before it is sent, in one `send`: four records.
TLS_BATCH: Final = 64 * KIB
# What waits for a peer that has us answer, say by asking for new keys, and takes no answer; a batch may wait besides.
TLS_UNSENT: Final = 128 * KIB

# 16 KiB data-stack chunks kept for the next greenlet (runtime/stackcache.pyx): 16 MiB at the most.
STACK_CACHE: Final = 1024
# What the C library keeps of the heap's free end, and the size from which on a block is mapped by itself
# (runtime/heap.pyx).
HEAP_SLACK: Final = 32 * MIB
HEAP_BLOCK: Final = 4 * MIB

# Watching the hub. 100 looks in a second cost too little to be measured, and see every block that a user would notice.
WATCH_INTERVAL: Final = 0.01
BLOCK_THRESHOLD: Final = 0.02
# Lines that blocks are counted for, and frames of a stack that are kept: a program has not more that matter.
WATCHED_LINES: Final = 512
WATCHED_DEPTH: Final = 64
# How deep in a module's objects an unpatched name is looked for: a dict of clients, each with a pool that has a lock.
CAPTURE_DEPTH: Final = 6
# And in how long a list or dict: longer ones are tables of data, and would make start-up slow.
CAPTURE_ITEMS: Final = 4096
# Lines of source in one object of the statistics file; and how often it may be written without being a load itself.
STATISTICS_BLOCKERS: Final = 10
STATISTICS_INTERVAL: Final = 1.0
STATISTICS_LEAST: Final = 0.05

# Worker processes.
STARTUP_TIMEOUT: Final = 60.0
WORKER_TIMEOUT: Final = 30.0

# Log lines waiting for a slow disk, in bytes; beyond it lines are dropped and counted.
LOG_PENDING: Final = 8 * MIB
LOG_FLUSH_INTERVAL: Final = 0.1
# A syslog message is cut off here: rsyslog's own default, and a datagram that every socket takes.
SYSLOG_MESSAGE: Final = 8 * KIB

# WebSockets.
WEBSOCKET_MAX_MESSAGE: Final = 1 * MIB
# What waits for a slow peer, per connection, before `send` waits and a broadcast passes the connection over.
WEBSOCKET_BUFFER: Final = 256 * KIB
# Messages, and their bytes, that are held ready for an application that is busy; the rest stays in the kernel.
WEBSOCKET_INBOX: Final = 32
WEBSOCKET_INBOX_BYTES: Final = 64 * KIB
# Frames of one connection that are dealt with before the others have their turn.
WEBSOCKET_FRAME_BATCH: Final = 64
# Proxies close connections on which nothing has happened for a minute.
WEBSOCKET_PING_INTERVAL: Final = 20.0
WEBSOCKET_PONG_TIMEOUT: Final = 20.0
WEBSOCKET_CLOSE_TIMEOUT: Final = 5.0
# An application that holds its WebSocket without using it, say to be broadcast to, is connected after this time.
WEBSOCKET_ACCEPT_DELAY: Final = 1.0
# Connections to which a broadcast is sent in one turn of the loop: a millisecond's work.
FLUSH_BATCH: Final = 128
# What a message counts at least towards FAIRNESS_BYTES: sending a short one costs as much as copying this.
MESSAGE_COST: Final = 1 * KIB
# Shorter messages are not worth compressing: they would hardly become smaller.
DEFLATE_FROM: Final = 128

# Off-loaded calls. A thread waits for a database or a disk, not for the processor, so there are as many as a database
# server takes connections by default; a stack of 8 MiB is address space only. What waits for them is a request each.
OFFLOAD_THREADS: Final = 64
OFFLOAD_QUEUE: Final = 10_000

# Classes of an application's (connection and cursor factories) that a patch derives cooperative ones from, and
# remembers: an application has a handful, and one that makes a class for each call must not fill the memory.
COOPERATIVE_CLASSES: Final = 256
# What a native thread writes to a greenlet's file is handed over in pieces of this size: a hand-over costs as much as
# copying a few kilobytes.
BORROWED_BATCH: Final = 64 * KIB

# SQLite. After so many instructions of its virtual machine (some tens of microseconds) it is asked for how long it has
# run; after SQLITE_SLICE seconds the other greenlets have their turn.
SQLITE_INSTRUCTIONS: Final = 2_000
SQLITE_SLICE: Final = 0.002
# A statement that has had so many turns is long: the next time it is off-loaded. So many are remembered, by hash.
SQLITE_LONG_SLICES: Final = 10
SQLITE_LONG_STATEMENTS: Final = 1024
# Pages of a backup between two turns of the hub: about a megabyte.
SQLITE_BACKUP_PAGES: Final = 256

# From these sizes on the standard library's calls are made elsewhere, though the hub could make them itself: what they
# cost there, on a busy machine, is several times what handing them over does (20 to 30 microseconds). A read of a file
# copies 256 KiB in 60 microseconds when the kernel has them, and waits for milliseconds when it has to fetch them.
OFFLOAD_FILE_PIECE: Final = 256 * KIB

# Where the kernel tells nobody (locks of files, semaphores of other processes), one tries again after this pause, which
# doubles each time up to the longest: a lock held briefly is had at once, and a thousand who wait cost the hub little.
RETRY_FIRST: Final = 0.0005
RETRY_LONGEST: Final = 0.02
# What is hashed or compressed elsewhere, by its size or rounds: sha256 of 64 KiB takes 40 microseconds, 4 KiB with zlib
# 60 (expanding them may make them a thousand times as large), and 100 rounds of PBKDF2 60.
OFFLOAD_HASH: Final = 64 * KIB
OFFLOAD_DEFLATE: Final = 4 * KIB
OFFLOAD_ROUNDS: Final = 100
