// Draws the prices and the load that the server sends.

const WIDTH = 240;
const HEIGHT = 56;
const MARGIN = 4; // above and below a line, so that its stroke is never cut

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

export function showCharts({ charts, in_flight: load }) {
  showLoad(load);
  for (const card of cards) {
    card.prices = charts[card.code];
    draw(card);
  }
}

export function showTick({ prices, in_flight: load }) {
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
