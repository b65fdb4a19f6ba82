/* wsload: a WebSocket load generator. One thread, epoll, frames that are built once and sent again and again.
 *
 *   wsload -p PORT [-H 127.0.0.1] [-P /path] [-o SUBPROTOCOL] [-n CONNECTIONS] [-s BYTES] [-d SECONDS] [-w WARM_UP]
 *          [-q DEPTH] [-r PER_SECOND | -i | -k] [-b] [-z] [-F FRAGMENTS] [-V] [-g] [-e] [-R PER_SECOND] [-S SOURCES]
 *
 * What is done, once all connections are open:
 *   (default)  echo: DEPTH messages (1) are under way on each connection; every echo is followed by the next message
 *   -r         echo at a fixed rate of messages a second over all connections; latencies count from when one was due
 *   -i         idle: send nothing, answer pings
 *   -k         sink: send nothing, count the messages that the server pushes; with -s they must be of that size
 * Messages: -b binary   -z offer permessage-deflate, without context takeover either way   -F as that many fragments
 * Checks: lengths, opcodes and framing always; content of the first four messages of a connection, with -V of all.
 * Connections: -R opens at most so many a second   -S uses that many source addresses, 127.0.0.2 and on, which is
 *   needed from 28,000 connections up   -g makes one echo on each before it counts as open   -e ends with the standard
 *   input if that comes before -d
 *
 * With -i and -k a first line of JSON tells that the opening is over. The last line has the figures; latencies are from
 * a histogram whose error is below 2 %, conn_min, conn_max and conns_served tell how evenly connections were served.
 * Standard error has the first failure. The status is 0 if nothing failed, 1 if anything did, 2 for a wrong usage.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

/* The nonce of RFC 6455 section 1.3 and its answer. One for all: a server cannot tell, and needs no SHA-1 here. */
static const char KEY[] = "dGhlIHNhbXBsZSBub25jZQ==", ACCEPT[] = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/* RFC 6455 section 5.3 wants a fresh key for each frame, against proxies; a server's work is the same with any. */
static const uint8_t MASK[4] = {0x37, 0xfa, 0x21, 0x3d};

enum { CONTINUATION = 0, TEXT = 1, BINARY = 2, CLOSE = 8, PING = 9, PONG = 10 };
enum {
    MAX_HALF_OPEN = 256,  /* below the backlog of every server: a dropped SYN is repeated only after a second */
    MAX_RESPONSE_HEAD = 4096,
    CHECKED_MESSAGES = 4,
    MAX_CONTROL = 125,    /* RFC 6455 section 5.5 */
    CONTROL_HEAD = 6,
    CLOSE_FRAME = CONTROL_HEAD + 2,
    OPEN_LOOP_DEPTH = 4096,
    BATCH_BYTES = 65536,
    READS_AT_ONCE = 4,
    STOP_MILLISECONDS = 3000,
    SECOND = 1000000000,
};

typedef struct {
    int fd;
    enum { CONNECTING, HANDSHAKE, OPEN, GONE } state;
    bool wants_out, closing, peer_closed, ungreeted;
    /* handshake */
    size_t request_sent, response_size;
    char *response;
    /* the frame that is being read */
    uint8_t head[10], head_size, opcode;
    bool in_payload, final;
    uint64_t left;
    uint8_t control[MAX_CONTROL];
    size_t control_size;
    /* the message that is being read */
    bool in_message, compressed;
    uint8_t message_opcode;
    uint64_t message_size;
    uint8_t *deflated; /* only of messages whose content is checked */
    uint32_t messages;
    /* what is being sent: whole frames owed, the bytes of the first that are out, control frames before them */
    uint32_t owed;
    size_t offset;
    uint8_t out[2 * (CONTROL_HEAD + MAX_CONTROL)];
    size_t out_size, out_sent;
    /* messages under way: a ring of the times they were sent */
    uint64_t *sent;
    uint32_t under_way, first, next, echoed;
    uint64_t count; /* messages while measuring */
} conn;

static const char *host = "127.0.0.1", *path = "/", *subprotocol = NULL;
static int port, connections = 64, depth = 1, fragments = 1, sources = 1;
static long long wanted_size = -1;
static size_t size = 32;
static double seconds = 5, warm_up = 1, ramp, rate;
static bool binary, verify_all, idle, sink, deflated, greet, ends_with_input;

static conn *conns;
static int poller, started;
static struct sockaddr_in address;
static char request[2048];
static size_t request_size;
static uint8_t *payload, *frame, *batch, *inflated, read_buffer[1 << 18];
static size_t frame_size, deflated_limit;
static uint32_t batch_frames;
static z_stream inflater;

static enum { OPENING, WARMING, MEASURING, STOPPING } phase;
static bool input_ended, gave_up;
static uint64_t n_open, n_gone, n_ungreeted, n_failed, n_closed, n_bad, n_messages, n_bytes, n_pings, n_compressed;
static uint64_t n_close_frames;
static char first_failure[256];

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND + t.tv_nsec;
}

static void *allocate(size_t count, size_t each) {
    void *memory = calloc(count ? count : 1, each);
    if (!memory) {
        fprintf(stderr, "wsload: no memory for %zu times %zu bytes\n", count, each);
        exit(1);
    }
    return memory;
}

/* ---- latencies: a histogram of nanoseconds, linear below 32, then 32 buckets for each power of two ---- */

static uint64_t buckets[64 * 32], n_latencies, latency_max;
static double latency_sum;

static void note_latency(uint64_t value) {
    int power = value < 32 ? 0 : 63 - __builtin_clzll(value) - 4;
    buckets[power ? power * 32 + ((value >> (power - 1)) & 31) : value]++;
    n_latencies++;
    latency_sum += value;
    if (value > latency_max) latency_max = value;
}

/* The nearest-rank quantile, in microseconds: the middle of the bucket it falls into. */
static double latency_quantile(double quantile) {
    uint64_t rank = (uint64_t)ceil(quantile * n_latencies), seen = 0;
    if (!n_latencies) return 0;
    for (int i = 0; i < 64 * 32; i++) {
        seen += buckets[i];
        if (seen < rank) continue;
        int power = i / 32;
        double low = power ? ldexp(32 + i % 32, power - 1) : i, width = power ? ldexp(1, power - 1) : 1;
        return fmin(low + (width - 1) / 2, latency_max) / 1e3;
    }
    return latency_max / 1e3;
}

/* ---- failures ---- */

static void note_failure(const char *format, ...) {
    va_list arguments;
    if (first_failure[0]) return;
    va_start(arguments, format);
    vsnprintf(first_failure, sizeof first_failure, format, arguments);
    va_end(arguments);
    for (char *c = first_failure; *c; c++)
        if ((unsigned char)*c < ' ') *c = ' '; /* a peer's line ends, in a message of one line */
}

static void drop(conn *c) {
    if (c->state == OPEN) n_open--;
    if (c->ungreeted) n_ungreeted--;
    if (c->fd >= 0) close(c->fd);
    free(c->response);
    free(c->deflated);
    free(c->sent);
    c->response = NULL, c->deflated = NULL, c->sent = NULL;
    c->fd = -1, c->ungreeted = false, c->state = GONE;
    n_gone++;
}

#define FAIL(c, ...) do { if (phase != STOPPING) { n_failed++; note_failure(__VA_ARGS__); } drop(c); } while (0)
#define BAD(...) do { n_bad++; note_failure(__VA_ARGS__); } while (0)

/* ---- sending ---- */

static void watch(conn *c, bool wants_out) {
    if (c->wants_out == wants_out) return;
    c->wants_out = wants_out;
    struct epoll_event event = {.events = EPOLLIN | (wants_out ? EPOLLOUT : 0), .data.ptr = c};
    if (epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &event) < 0) FAIL(c, "epoll_ctl: %s", strerror(errno));
}

/* Send control frames, which go between data frames, and the frames that are owed, as far as the socket takes them. */
static void pump(conn *c) {
    while (c->state == OPEN) {
        bool is_control = c->out_size && !c->offset;
        const uint8_t *data;
        size_t length;
        if (is_control) {
            data = c->out + c->out_sent, length = c->out_size - c->out_sent;
        } else if (c->offset) {
            data = frame + c->offset, length = frame_size - c->offset;
        } else if (c->owed) {
            data = batch, length = frame_size * (c->owed < batch_frames ? c->owed : batch_frames);
        } else {
            watch(c, false);
            return;
        }
        ssize_t sent = send(c->fd, data, length, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno == EAGAIN) watch(c, true);
            else FAIL(c, "send: %s", strerror(errno));
            return;
        }
        if (is_control) {
            c->out_sent += sent;
            if (c->out_sent == c->out_size) c->out_size = c->out_sent = 0;
        } else {
            c->offset += sent;
            c->owed -= c->offset / frame_size;
            c->offset %= frame_size;
        }
    }
}

static void owe(conn *c, uint32_t count, uint64_t time) {
    for (uint32_t i = 0; i < count; i++) {
        c->sent[c->next] = time;
        if (++c->next == (uint32_t)depth) c->next = 0;
    }
    c->under_way += count;
    c->owed += count;
}

/* Queue a control frame. Room is kept for the one Close; a pong without room is left out, as RFC 6455 5.5.3 allows. */
static void queue_control(conn *c, uint8_t opcode, const uint8_t *data, size_t length) {
    size_t room = sizeof c->out - c->out_size - (opcode == CLOSE ? 0 : CLOSE_FRAME);
    if (CONTROL_HEAD + length > room) return;
    uint8_t *out = c->out + c->out_size;
    out[0] = 0x80 | opcode;
    out[1] = 0x80 | length;
    memcpy(out + 2, MASK, 4);
    for (size_t i = 0; i < length; i++) out[CONTROL_HEAD + i] = data[i] ^ MASK[i & 3];
    c->out_size += CONTROL_HEAD + length;
}

/* Queue the one Close of a connection, after the frame that is half out; what was owed beside it is not sent. */
static void queue_close(conn *c, const uint8_t *code, size_t length) {
    if (c->closing) return;
    c->closing = true;
    c->owed = c->offset ? 1 : 0;
    queue_control(c, CLOSE, code, length);
}

/* ---- receiving ---- */

static bool is_checked(const conn *c) {
    return !sink && (verify_all || c->messages < CHECKED_MESSAGES);
}

static bool begin_frame(conn *c) {
    uint8_t length = c->head[1] & 127;
    bool rsv1 = c->head[0] & 0x40;
    c->opcode = c->head[0] & 15;
    c->final = c->head[0] >> 7;
    c->left = length;
    if (length >= 126) {
        c->left = 0;
        for (int i = 2; i < (length == 126 ? 4 : 10); i++) c->left = c->left << 8 | c->head[i];
    }
    if (c->head[1] & 128) { FAIL(c, "the server sent a masked frame"); return false; }
    if (c->head[0] & 0x30) { FAIL(c, "the server set reserved bits: %02x", c->head[0]); return false; }
    if (c->opcode & 8) {
        if (c->opcode > PONG || !c->final || rsv1 || c->left > MAX_CONTROL) {
            FAIL(c, "the server sent a wrong control frame: %02x of %ju bytes", c->head[0], (uintmax_t)c->left);
            return false;
        }
        c->control_size = 0;
        return true;
    }
    bool is_first = c->opcode != CONTINUATION;
    if (c->opcode > BINARY || is_first == c->in_message || (rsv1 && !(deflated && is_first))) {
        FAIL(c, "the server sent a frame that is wrong there: %02x", c->head[0]);
        return false;
    }
    if (is_first) {
        c->in_message = true;
        c->message_opcode = c->opcode;
        c->message_size = 0;
        c->compressed = rsv1;
        if (rsv1 && phase == MEASURING) n_compressed++;
        if (rsv1 && is_checked(c)) c->deflated = allocate(deflated_limit, 1);
    }
    if (!sink && c->left > (c->compressed ? deflated_limit - 4 : size) - c->message_size) {
        FAIL(c, "an echo is longer than the message, by a frame of %ju bytes", (uintmax_t)c->left);
        return false;
    }
    return true;
}

static void take_payload(conn *c, const uint8_t *data, size_t length) {
    if (c->opcode & 8) {
        memcpy(c->control + c->control_size, data, length);
        c->control_size += length;
        return;
    }
    if (c->deflated) memcpy(c->deflated + c->message_size, data, length);
    else if (!c->compressed && is_checked(c) && memcmp(payload + c->message_size, data, length)) BAD("an echo differs");
    c->message_size += length;
}

/* Whether a compressed message inflates, by itself, to what was sent. */
static bool inflates_to_payload(conn *c) {
    memcpy(c->deflated + c->message_size, "\0\0\xff\xff", 4); /* RFC 7692 section 7.2.2 */
    inflateReset(&inflater);
    inflater.next_in = c->deflated, inflater.avail_in = c->message_size + 4;
    inflater.next_out = inflated, inflater.avail_out = size + 1;
    int result = inflate(&inflater, Z_SYNC_FLUSH);
    return (result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR)
        && !inflater.avail_in && inflater.avail_out == 1 && !memcmp(inflated, payload, size);
}

static void end_message(conn *c, uint64_t time) {
    c->in_message = false;
    c->messages++;
    if (sink) {
        if (wanted_size >= 0 && c->message_size != size) BAD("a message of %ju bytes", (uintmax_t)c->message_size);
    } else {
        if (!c->compressed && c->message_size != size) BAD("an echo of %ju bytes", (uintmax_t)c->message_size);
        if (c->message_opcode != (binary ? BINARY : TEXT)) BAD("an echo of another opcode: %d", c->message_opcode);
        if (c->deflated && !inflates_to_payload(c)) BAD("a compressed echo differs");
        free(c->deflated);
        c->deflated = NULL;
        if (!c->under_way) {
            BAD("a message that answers none");
            return;
        }
        if (phase == MEASURING) note_latency(time - c->sent[c->first]);
        if (++c->first == (uint32_t)depth) c->first = 0;
        c->under_way--;
        c->echoed++;
        if (c->ungreeted) c->ungreeted = false, n_ungreeted--;
    }
    if (phase == MEASURING) n_messages++, n_bytes += sink ? c->message_size : size, c->count++;
}

static void end_frame(conn *c, uint64_t time) {
    if (c->opcode == PING) {
        n_pings++;
        if (!c->closing) queue_control(c, PONG, c->control, c->control_size);
    } else if (c->opcode == CLOSE) {
        if (c->peer_closed) return;
        c->peer_closed = true;
        n_close_frames++;
        if (phase != STOPPING) {
            n_closed++;
            note_failure("the server closed: %d", c->control_size < 2 ? 1005 : c->control[0] << 8 | c->control[1]);
        }
        queue_close(c, c->control, c->control_size < 2 ? 0 : 2);
    } else if (c->final && !(c->opcode & 8)) {
        end_message(c, time);
    }
}

static size_t head_length(const uint8_t *head) {
    return (head[1] & 127) == 126 ? 4 : (head[1] & 127) == 127 ? 10 : 2;
}

static void parse(conn *c, const uint8_t *data, size_t length, uint64_t time) {
    const uint8_t *end = data + length;
    for (;;) {
        if (!c->in_payload) {
            while (c->head_size < 2 || c->head_size < head_length(c->head)) {
                if (data == end) return;
                c->head[c->head_size++] = *data++;
            }
            if (!begin_frame(c)) return;
            c->in_payload = true;
        }
        size_t count = c->left < (uint64_t)(end - data) ? c->left : (size_t)(end - data);
        take_payload(c, data, count);
        data += count;
        c->left -= count;
        if (c->left) return;
        c->in_payload = false;
        c->head_size = 0;
        end_frame(c, time);
    }
}

/* Parse, then send what that calls for: the next messages, pongs, the answer to a Close. */
static void take(conn *c, const uint8_t *data, size_t length) {
    uint64_t time = now();
    c->echoed = 0;
    parse(c, data, length, time);
    if (c->state != OPEN) return;
    bool goes_on = phase == WARMING || phase == MEASURING;
    if (c->echoed && goes_on && !c->closing && !rate && !idle) owe(c, c->echoed, time);
    if (c->owed || c->out_size) pump(c);
}

/* ---- opening ---- */

static void open_next(void) {
    conn *c = &conns[started++];
    int yes = 1;
    c->state = CONNECTING;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0) { FAIL(c, "socket: %s", strerror(errno)); return; }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    if (sources > 1) {
        struct sockaddr_in source = {.sin_family = AF_INET};
        source.sin_addr.s_addr = htonl(0x7f000002 + (started - 1) % sources);
        setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &yes, sizeof yes);
        if (bind(c->fd, (void *)&source, sizeof source) < 0) { FAIL(c, "bind: %s", strerror(errno)); return; }
    }
    if (connect(c->fd, (void *)&address, sizeof address) < 0 && errno != EINPROGRESS) {
        FAIL(c, "connect: %s", strerror(errno));
        return;
    }
    c->wants_out = true;
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event) < 0) FAIL(c, "epoll_ctl: %s", strerror(errno));
}

static void send_request(conn *c) {
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error) { FAIL(c, "connect: %s", strerror(error)); return; }
    ssize_t sent = send(c->fd, request + c->request_sent, request_size - c->request_sent, MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN) FAIL(c, "send of the request: %s", strerror(errno));
        return;
    }
    c->request_sent += sent;
    if (c->request_sent < request_size) return;
    c->response = allocate(MAX_RESPONSE_HEAD + 1, 1);
    c->state = HANDSHAKE;
    watch(c, false);
}

static void on_open(conn *c) {
    c->state = OPEN;
    n_open++;
    if (!sink) c->sent = allocate(depth, sizeof *c->sent);
    if (!greet) return;
    c->ungreeted = true;
    n_ungreeted++;
    owe(c, 1, now());
    pump(c);
}

static void read_response(conn *c) {
    ssize_t count = recv(c->fd, c->response + c->response_size, MAX_RESPONSE_HEAD - c->response_size, 0);
    if (count < 0 && errno == EAGAIN) return;
    if (count < 0) { FAIL(c, "recv of the response: %s", strerror(errno)); return; }
    if (!count) { FAIL(c, "closed within the handshake: %.80s", c->response); return; }
    c->response_size += count;
    c->response[c->response_size] = 0;
    char *end = strstr(c->response, "\r\n\r\n");
    if (!end) {
        if (c->response_size == MAX_RESPONSE_HEAD) FAIL(c, "a response head of more than %d bytes", MAX_RESPONSE_HEAD);
        return;
    }
    uint8_t *rest = (uint8_t *)end + 4;
    size_t rest_size = c->response + c->response_size - (char *)rest;
    end[2] = 0; /* headers only: what follows may be frames */
    if (strncmp(c->response, "HTTP/1.1 101 ", 13) || !strstr(c->response, ACCEPT)) {
        FAIL(c, "refused: %.80s", c->response);
        return;
    }
    bool has_deflate = strcasestr(c->response, "permessage-deflate");
    if (has_deflate != deflated || (deflated && !strcasestr(c->response, "server_no_context_takeover"))) {
        FAIL(c, deflated ? "the server declined permessage-deflate" : "permessage-deflate without an offer");
        return;
    }
    char *response = c->response;
    c->response = NULL;
    on_open(c);
    if (rest_size && c->state == OPEN) take(c, rest, rest_size);
    free(response);
}

static void on_event(conn *c, uint32_t events) {
    if (c->state == CONNECTING) { send_request(c); return; }
    if (c->state == HANDSHAKE) { read_response(c); return; }
    if (c->state == OPEN && events & EPOLLOUT) pump(c);
    if (!(events & (EPOLLIN | EPOLLHUP | EPOLLERR))) return;
    for (int i = 0; i < READS_AT_ONCE && c->state == OPEN; i++) {
        ssize_t count = recv(c->fd, read_buffer, sizeof read_buffer, 0);
        if (count < 0) {
            if (errno != EAGAIN) FAIL(c, "recv: %s", strerror(errno));
            return;
        }
        if (!count) {
            if (c->closing) drop(c); /* after a Close, which has been counted */
            else FAIL(c, "the server ended a connection without a Close");
            return;
        }
        take(c, read_buffer, count);
        if ((size_t)count < sizeof read_buffer) return;
    }
}

static void poll_events(int milliseconds) {
    struct epoll_event events[512];
    int count = epoll_wait(poller, events, 512, milliseconds);
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr) {
            on_event(events[i].data.ptr, events[i].events);
        } else if (read(STDIN_FILENO, read_buffer, sizeof read_buffer) <= 0) {
            input_ended = true;
            epoll_ctl(poller, EPOLL_CTL_DEL, STDIN_FILENO, NULL);
        }
    }
}

/* ---- preparation ---- */

static void build_payload(void) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789 ,.{}:\"";
    uint32_t random = 12345;
    payload = allocate(size, 1);
    for (size_t i = 0; i < size; i++) {
        random = random * 1103515245 + 12345;
        payload[i] = binary ? random >> 16 : (uint8_t)letters[(random >> 16) % (sizeof letters - 1)];
    }
}

/* The payload as RFC 7692 section 7.2.1 compresses a message: a sync flush without its last four bytes. */
static uint8_t *deflate_payload(size_t *length) {
    z_stream stream = {0};
    if (deflateInit2(&stream, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK
        || inflateInit2(&inflater, -15) != Z_OK) {
        fprintf(stderr, "wsload: zlib failed\n");
        exit(1);
    }
    size_t limit = deflateBound(&stream, size) + 16;
    uint8_t *body = allocate(limit, 1);
    stream.next_in = payload, stream.avail_in = size;
    stream.next_out = body, stream.avail_out = limit;
    deflate(&stream, Z_SYNC_FLUSH);
    *length = limit - stream.avail_out - 4;
    deflateEnd(&stream);
    deflated_limit = 2 * limit + 64; /* whatever the server's compressor makes of it */
    inflated = allocate(size + 1, 1);
    return body;
}

static uint8_t *write_frame(uint8_t *out, uint8_t first, const uint8_t *body, size_t length) {
    *out++ = first;
    if (length < 126) {
        *out++ = 0x80 | length;
    } else {
        int bytes = length < 65536 ? 2 : 8;
        *out++ = 0x80 | (bytes == 2 ? 126 : 127);
        for (int i = bytes - 1; i >= 0; i--) *out++ = (uint64_t)length >> (8 * i);
    }
    memcpy(out, MASK, 4);
    out += 4;
    for (size_t i = 0; i < length; i++) *out++ = body[i] ^ MASK[i & 3];
    return out;
}

static void build_frames(void) {
    size_t length = size, each;
    uint8_t *body = deflated ? deflate_payload(&length) : payload;
    frame = allocate(length + 14 * (size_t)fragments, 1);
    uint8_t *out = frame;
    each = length / fragments;
    for (int i = 0; i < fragments; i++) {
        bool is_last = i == fragments - 1;
        uint8_t first = i ? CONTINUATION : (binary ? BINARY : TEXT) | (deflated ? 0x40 : 0);
        out = write_frame(out, first | (is_last ? 0x80 : 0), body + i * each, is_last ? length - i * each : each);
    }
    frame_size = out - frame;
    batch_frames = rate || frame_size > BATCH_BYTES ? 1 : BATCH_BYTES / frame_size;
    if (batch_frames > (uint32_t)depth) batch_frames = depth;
    batch = allocate(frame_size, batch_frames);
    for (uint32_t i = 0; i < batch_frames; i++) memcpy(batch + i * frame_size, frame, frame_size);
}

static void build_request(void) {
    int length = snprintf(request, sizeof request,
        "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: %s\r\n"
        "Sec-WebSocket-Version: 13\r\nOrigin: http://%s:%d\r\n%s%s%s%s\r\n",
        path, host, port, KEY, host, port,
        subprotocol ? "Sec-WebSocket-Protocol: " : "", subprotocol ? subprotocol : "", subprotocol ? "\r\n" : "",
        deflated ? "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover; "
                   "server_no_context_takeover\r\n" : "");
    if (length < 0 || (size_t)length >= sizeof request) {
        fprintf(stderr, "wsload: the request is longer than %zu bytes\n", sizeof request - 1);
        exit(2);
    }
    request_size = length;
}

static double number(int option, const char *text, double least, double most) {
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !(value >= least && value <= most)) {
        fprintf(stderr, "wsload: -%c takes a number from %g to %g, not \"%s\"\n", option, least, most, text);
        exit(2);
    }
    return value;
}

static void read_options(int count, char **arguments) {
    int option;
    while ((option = getopt(count, arguments, "H:p:P:n:s:d:w:q:bVR:r:ikzS:o:F:ge")) != -1) switch (option) {
        case 'H': host = optarg; break;
        case 'p': port = number(option, optarg, 1, 65535); break;
        case 'P': path = optarg; break;
        case 'n': connections = number(option, optarg, 1, 1e6); break;
        case 's': wanted_size = number(option, optarg, 0, 1 << 30); break;
        case 'd': seconds = number(option, optarg, 0, 1e6); break;
        case 'w': warm_up = number(option, optarg, 0, 1e6); break;
        case 'q': depth = number(option, optarg, 1, 65536); break;
        case 'b': binary = true; break;
        case 'V': verify_all = true; break;
        case 'R': ramp = number(option, optarg, 1, 1e9); break;
        case 'r': rate = number(option, optarg, 1, 1e9); break;
        case 'i': idle = true; break;
        case 'k': sink = true; break;
        case 'z': deflated = true; break;
        case 'S': sources = number(option, optarg, 1, 250); break;
        case 'o': subprotocol = optarg; break;
        case 'F': fragments = number(option, optarg, 1, 1e6); break;
        case 'g': greet = true; break;
        case 'e': ends_with_input = true; break;
        default: exit(2);
    }
    const char *wrong = !port ? "-p PORT is needed (its source tells about all options)"
        : optind < count ? "there are options only"
        : idle + sink + (rate > 0) > 1 ? "-i, -k and -r exclude each other"
        : sink && greet ? "-k takes what is pushed, so there is no echo for -g" : NULL;
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    if (!wrong && inet_pton(AF_INET, host, &address.sin_addr) != 1) wrong = "-H takes an IPv4 address";
    if (wrong) {
        fprintf(stderr, "wsload: %s\n", wrong);
        exit(2);
    }
    if (wanted_size >= 0) size = wanted_size;
    if (rate && depth < OPEN_LOOP_DEPTH) depth = OPEN_LOOP_DEPTH;
}

static void prepare(void) {
    struct rlimit limit;
    signal(SIGPIPE, SIG_IGN);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    build_payload();
    build_frames();
    build_request();
    conns = allocate(connections, sizeof *conns);
    poller = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    if (poller < 0 || (ends_with_input && epoll_ctl(poller, EPOLL_CTL_ADD, STDIN_FILENO, &event) < 0)) {
        fprintf(stderr, "wsload: epoll: %s (-e needs a pipe or a terminal as standard input)\n", strerror(errno));
        exit(2);
    }
}

/* ---- the run ---- */

static uint64_t opening_began, opening_ended, measure_from, measure_until, round_robin, n_due;
static struct rusage usage_before, usage_after;

static void give_up(const char *reason) {
    gave_up = true;
    note_failure("%s: %ju of %d connections were open", reason, (uintmax_t)n_open, connections);
}

static void open_more(uint64_t time) {
    int allowed = ramp ? (int)fmin(connections, (time - opening_began) / 1e9 * ramp + 1) : connections;
    while (started < allowed && started - (int)(n_open + n_gone) < MAX_HALF_OPEN) open_next();
}

static void begin_load(uint64_t time) {
    opening_ended = time;
    measure_from = time + (idle ? 0 : warm_up * 1e9);
    measure_until = measure_from + seconds * 1e9;
    phase = WARMING;
    if (idle || sink) {
        printf("{\"opened\":%ju,\"failed\":%ju,\"open_seconds\":%.2f}\n", (uintmax_t)n_open,
               (uintmax_t)n_failed, (time - opening_began) / 1e9);
        fflush(stdout);
        return;
    }
    for (int i = 0; i < connections && !rate; i++) {
        if (conns[i].state != OPEN || conns[i].closing) continue;
        owe(&conns[i], depth, now());
        pump(&conns[i]);
    }
}

/* Send what is due at the fixed rate, to one connection after another. */
static void send_due(uint64_t time) {
    uint64_t due = (time - opening_ended) / 1e9 * rate;
    for (; n_due < due; n_due++) {
        conn *c = &conns[round_robin++ % connections];
        if (c->state != OPEN || c->closing || c->under_way >= (uint32_t)depth) {
            BAD("a message could not be sent when it was due");
            continue;
        }
        owe(c, 1, opening_ended + n_due / rate * 1e9);
        pump(c);
    }
}

static void run(void) {
    opening_began = now();
    double opening_limit = 30 + connections / 500.0 + (ramp ? connections / ramp : 0);
    while (!gave_up) {
        uint64_t time = now();
        if (phase == OPENING) {
            open_more(time);
            bool is_over = started == connections && n_open + n_gone == (uint64_t)connections && !n_ungreeted;
            if (is_over) begin_load(time);
            else if (time > opening_began + opening_limit * 1e9) give_up("the opening took too long");
        }
        if (phase != OPENING && !n_open) give_up("no connection is left");
        if (phase == WARMING && time >= measure_from) {
            phase = MEASURING;
            measure_from = time;
            getrusage(RUSAGE_SELF, &usage_before);
        }
        if (phase == MEASURING && (time >= measure_until || input_ended)) break;
        if (rate && phase != OPENING) send_due(time);
        bool is_timed = rate || (ramp && phase == OPENING);
        poll_events(is_timed ? 1 : 20);
    }
    measure_until = now();
    getrusage(RUSAGE_SELF, &usage_after);
}

/* Close every connection with 1000; returns how many of the `open` ones the server answered with a Close in time. */
static uint64_t stop(uint64_t *open) {
    static const uint8_t code[2] = {1000 >> 8, 1000 & 255};
    uint64_t until = now() + STOP_MILLISECONDS * (uint64_t)1000000, before = n_close_frames;
    if (phase == MEASURING) measure_until = now();
    phase = STOPPING;
    *open = n_open;
    for (int i = 0; i < started; i++) {
        if (conns[i].state != OPEN) continue;
        queue_close(&conns[i], code, sizeof code);
        pump(&conns[i]);
    }
    while (n_open && now() < until) poll_events(50);
    return n_close_frames - before;
}

static double cpu_seconds(const struct rusage *usage) {
    return usage->ru_utime.tv_sec + usage->ru_stime.tv_sec + (usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) / 1e6;
}

static void print_figures(bool measured, uint64_t clean_closes, uint64_t open) {
    double elapsed = measured ? (measure_until - measure_from) / 1e9 : 0, per = elapsed > 0 ? elapsed : INFINITY;
    uint64_t least = UINT64_MAX, most = 0, served = 0;
    for (int i = 0; i < connections; i++) {
        if (conns[i].count < least) least = conns[i].count;
        if (conns[i].count > most) most = conns[i].count;
        served += conns[i].count > 0;
    }
#define COUNT(name, value) printf(",\"" name "\":%ju", (uintmax_t)(value))
#define FIGURE(name, digits, value) printf(",\"" name "\":%." digits "f", (double)(value))
    printf("{\"conns\":%d", connections);
    COUNT("size", size);
    COUNT("depth", rate ? 0 : depth);
    FIGURE("seconds", "2", elapsed);
    COUNT("msgs", n_messages);
    FIGURE("msg_per_s", "0", n_messages / per);
    FIGURE("MB_per_s", "1", n_bytes / per / 1e6);
    FIGURE("p50_us", "1", latency_quantile(.5));
    FIGURE("p90_us", "1", latency_quantile(.9));
    FIGURE("p99_us", "1", latency_quantile(.99));
    FIGURE("max_us", "1", latency_max / 1e3);
    FIGURE("mean_us", "1", n_latencies ? latency_sum / n_latencies / 1e3 : 0);
    COUNT("conn_min", least);
    COUNT("conn_max", most);
    COUNT("conns_served", served);
    FIGURE("client_cpu", "2", (cpu_seconds(&usage_after) - cpu_seconds(&usage_before)) / per);
    FIGURE("open_seconds", "2", opening_ended ? (opening_ended - opening_began) / 1e9 : -1);
    COUNT("failed", n_failed);
    COUNT("closed_by_server", n_closed);
    COUNT("bad", n_bad);
    COUNT("pings", n_pings);
    COUNT("compressed", n_compressed);
    COUNT("clean_closes", clean_closes);
    COUNT("of", open);
    printf("}\n");
}

int main(int count, char **arguments) {
    uint64_t open;
    read_options(count, arguments);
    prepare();
    run();
    bool measured = phase == MEASURING;
    uint64_t clean_closes = stop(&open);
    print_figures(measured, clean_closes, open);
    if (measured && !idle && !n_messages) note_failure("no message came while measuring");
    if (first_failure[0]) fprintf(stderr, "wsload: %s\n", first_failure);
    return gave_up || n_failed || n_bad || n_closed || first_failure[0] ? 1 : 0;
}
