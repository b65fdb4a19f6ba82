// Sends orders and shows what became of them, and what is held.

const form = document.getElementById("order-form");
const fields = form.querySelector("fieldset");
const answer = document.getElementById("answer");
const positions = document.getElementById("positions");
const none = document.getElementById("no-positions");

let send = null;

/** Let orders be sent by `sender`, on a connection that holds nothing yet; with null none can be, and `why` says why. */
export function allowOrders(sender, why = "") {
  send = sender;
  fields.disabled = !sender;
  say(why, "");
  if (sender) showPositions(new Map());
}

export function showFilled({ side, symbol, quantity, price, position }) {
  const verb = side === "buy" ? "Bought" : "Sold";
  say(`${verb} ${quantity.toLocaleString("en")} ${symbol} at ${price.toFixed(2)}; you hold ${position.toLocaleString("en")}.`, "filled");
  showPositions(held.set(symbol, position));
}

export function showRefused({ reason }) {
  say(reason, "refused");
}

function say(text, state) {
  answer.dataset.state = state;
  answer.textContent = text;
}

let held = new Map();

function showPositions(now) {
  held = now;
  const rows = [...held].filter(([, quantity]) => quantity).sort();
  none.hidden = rows.length > 0;
  positions.replaceChildren(
    ...rows.map(([symbol, quantity]) => {
      const item = document.createElement("div");
      const name = document.createElement("dt");
      const value = document.createElement("dd");
      name.textContent = symbol;
      value.textContent = quantity.toLocaleString("en");
      item.append(name, value);
      return item;
    }),
  );
}

form.addEventListener("submit", (submission) => {
  submission.preventDefault();
  const { symbol, quantity } = form.elements;
  send?.({ side: submission.submitter.value, symbol: symbol.value, quantity: Number(quantity.value) });
});
