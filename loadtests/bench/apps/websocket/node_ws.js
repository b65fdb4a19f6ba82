// ws on Node: echoes on any path; /broadcast is sent what /publish causes. Arguments: host and port.
"use strict";

const { WebSocketServer, WebSocket } = require("ws");

const MESSAGE = "x".repeat(100);
// A subscriber that has not read so many bytes is left out, so that memory stays bounded.
const BACKLOG_BYTES = 65536;

const [host, port] = process.argv.slice(2);
// Every message is compressed where the client offers it; by default those below 1 KiB are not.
const server = new WebSocketServer({ host, port: Number(port), perMessageDeflate: { threshold: 0 } });
const subscribers = new Set();

function publish(publisher) {
  if (publisher.readyState !== WebSocket.OPEN) return;
  for (const subscriber of subscribers) {
    if (subscriber.bufferedAmount < BACKLOG_BYTES) subscriber.send(MESSAGE);
  }
  setImmediate(publish, publisher);
}

server.on("connection", (socket, request) => {
  socket.on("error", () => socket.terminate());
  if (request.url === "/broadcast") {
    subscribers.add(socket);
    socket.on("close", () => subscribers.delete(socket));
  } else if (request.url === "/publish") {
    publish(socket);
  } else {
    socket.on("message", (data, isBinary) => socket.send(data, { binary: isBinary }));
  }
});
