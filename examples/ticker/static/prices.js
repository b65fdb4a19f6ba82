// Draws the prices and the load that the server sends, and comes back by itself when the server does.

const RETRY_MS = 1000;
const WIDTH = 240;
const HEIGHT = 56;
const MARGIN = 4; // above and below a line, so that its stroke is never cut

const status = document.getElementById("status");
const figures = { now: "in-flight", peak: "peak", total: "total" };
const cards = [...document.querySelectorAll("#cards .card")].map((card) => ({
  code: card.dataset.code,
  price: card.querySelector(".price"),
  change: card.querySelector(".change"),
  line: card.querySelector(".line"),
  area: card.querySelector(".area"),
  card,
  prices: [],
}));

let source = null;
let retry = 0;

function connect() {
  source = new EventSource(document.body.dataset.stream);
  source.addEventListener("charts", (message) => showCharts(JSON.parse(message.data)));
  source.addEventListener("tick", (message) => showTick(JSON.parse(message.data)));
  source.addEventListener("open", () => showStatus("live", "Live"));
  source.addEventListener("error", () => {
    showStatus("lost", "Reconnecting");
    // The browser retries a connection that broke, but gives up for good when it gets an error page, as from a proxy
    // whose server is just restarting.
    if (source.readyState === EventSource.CLOSED) {
      disconnect();
      retry = setTimeout(connect, RETRY_MS);
    }
  });
}

function disconnect() {
  clearTimeout(retry);
  source?.close();
  source = null;
}

function showStatus(state, text) {
  if (status.dataset.state !== state) {
    status.dataset.state = state;
    status.textContent = text;
  }
}

function showCharts({ charts, in_flight: load }) {
  showLoad(load);
  for (const card of cards) {
    card.prices = charts[card.code];
    draw(card);
  }
}

function showTick({ prices, in_flight: load }) {
  cards.forEach((card, index) => {
    card.prices.push(prices[index]);
    card.prices.shift();
    draw(card);
  });
  showLoad(load);
}

function showLoad(load) {
  for (const [name, id] of Object.entries(figures)) {
    document.getElementById(id).textContent = load[name].toLocaleString("en");
  }
}

function draw(card) {
  const { prices } = card;
  const latest = prices.at(-1);
  const change = (latest / prices[0] - 1) * 100;
  const trend = Math.abs(change) < 0.005 ? "flat" : change > 0 ? "up" : "down";
  card.card.dataset.trend = trend;
  card.price.textContent = latest.toFixed(2);
  card.change.textContent = `${{ up: "▲", down: "▼", flat: "■" }[trend]} ${Math.abs(change).toFixed(2)} %`;
  const path = linePath(prices);
  card.line.setAttribute("d", path);
  card.area.setAttribute("d", `${path}V${HEIGHT}H0Z`);
}

function linePath(prices) {
  const low = Math.min(...prices);
  const span = Math.max(...prices) - low || 1;
  const step = WIDTH / (prices.length - 1);
  const scale = (HEIGHT - 2 * MARGIN) / span;
  const points = prices.map((price, i) => `${(i * step).toFixed(1)} ${(HEIGHT - MARGIN - (price - low) * scale).toFixed(1)}`);
  return `M${points.join("L")}`;
}

// A hidden page needs no prices, and browsers allow only six connections to a server over all of its pages.
document.addEventListener("visibilitychange", () => {
  disconnect();
  if (!document.hidden) connect();
});
addEventListener("pagehide", disconnect);
addEventListener("pageshow", () => {
  if (!source && !document.hidden) connect();
});
