// A client of one WebSocket, for test_node_ws.py. Standard input has the job and standard output what came of it, as JSON:
//   job: url, deflate, messages (of parts in base64, and binary), ping (text, or null), close (code and reason, or null)
//   outcome: extensions, echoes (data in base64, and binary), pong, code, reason, error
// All messages are sent at once. The connection is closed once all their echoes, and the pong, have come.
"use strict";

const { readFileSync } = require("node:fs");
const { WebSocket } = require("ws");

const job = JSON.parse(readFileSync(0, "utf8"));
const outcome = { extensions: "", echoes: [], pong: null, code: null, reason: "", error: null };
const socket = new WebSocket(job.url, { perMessageDeflate: job.deflate ? { threshold: 0 } : false });

function send({ parts, binary }) {
  parts.forEach((part, index) => {
    socket.send(Buffer.from(part, "base64"), { binary, compress: job.deflate, fin: index === parts.length - 1 });
  });
}

function closeWhenDone() {
  const isDone = outcome.echoes.length === job.messages.length && (job.ping === null || outcome.pong !== null);
  if (isDone && job.close !== null) socket.close(...job.close);
}

socket.on("open", () => {
  outcome.extensions = socket.extensions;
  job.messages.forEach(send);
  if (job.ping !== null) socket.ping(job.ping);
  closeWhenDone();
});
socket.on("message", (data, isBinary) => {
  outcome.echoes.push({ data: data.toString("base64"), binary: isBinary });
  closeWhenDone();
});
socket.on("pong", (data) => {
  outcome.pong = data.toString();
  closeWhenDone();
});
socket.on("error", (error) => {
  outcome.error = error.message;
});
socket.on("close", (code, reason) => {
  Object.assign(outcome, { code, reason: reason.toString() });
  process.stdout.write(JSON.stringify(outcome));
});
