// The page's connection: a WebSocket for prices and orders or, where the server has none, server-sent events for prices.

import { allowOrders, showFilled, showRefused } from "./orders.js";
import { showCharts, showTick } from "./prices.js";

const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 15000;

const status = document.getElementById("status");
const { live, stream } = document.body.dataset;
const handlers = { charts: showCharts, tick: showTick, filled: showFilled, refused: showRefused };

let connection = null; // a WebSocket or an EventSource
let retry = 0;
let pause = FIRST_RETRY_MS;
let hasWebSockets = false; // the server has opened one to this page

function connect() {
  const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${live}`);
  connection = socket;
  socket.addEventListener("open", () => {
    hasWebSockets = true;
    connected("Live");
    allowOrders((order) => socket.send(JSON.stringify(order)));
  });
  socket.addEventListener("message", ({ data }) => {
    const { event, ...content } = JSON.parse(data);
    handlers[event](content);
  });
  socket.addEventListener("close", () => {
    if (connection !== socket) return;
    // A server that has not opened one may have none, or be away, and then it does not answer the other either.
    if (hasWebSockets) reconnect();
    else connectToEvents();
  });
}

function connectToEvents() {
  const source = new EventSource(stream);
  connection = source;
  for (const event of ["charts", "tick"]) {
    source.addEventListener(event, ({ data }) => handlers[event](JSON.parse(data)));
  }
  source.addEventListener("open", () => {
    connected("Live, prices only");
    allowOrders(null, "This server offers no WebSocket: prices come as server-sent events, and orders cannot be sent.");
  });
  source.addEventListener("error", () => {
    if (connection === source) reconnect();
  });
}

function connected(text) {
  pause = FIRST_RETRY_MS;
  showStatus("live", text);
}

function reconnect() {
  disconnect();
  showStatus("lost", "Reconnecting");
  allowOrders(null, "Orders can be sent again when the connection is back.");
  // Not all pages at once, when a server comes back to them.
  retry = setTimeout(connect, pause * (0.5 + Math.random()));
  pause = Math.min(2 * pause, LONGEST_RETRY_MS);
}

function disconnect() {
  clearTimeout(retry);
  const last = connection;
  connection = null;
  last?.close();
}

function showStatus(state, text) {
  if (status.textContent !== text) {
    status.dataset.state = state;
    status.textContent = text;
  }
}

// A hidden page needs no prices, and browsers allow only six connections for events to a server over all of its pages.
document.addEventListener("visibilitychange", () => {
  if (document.hidden && connection instanceof EventSource) disconnect();
  else if (!document.hidden && !connection) {
    disconnect();
    connect();
  }
});
// Closed before the page is frozen or kept for the back button, and opened again when it is shown.
addEventListener("pagehide", disconnect);
addEventListener("pageshow", () => {
  if (!connection) connect();
});
