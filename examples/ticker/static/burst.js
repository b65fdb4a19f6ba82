// Fires the burst and draws one bar for each of its requests, while it is running.

const SVG = "http://www.w3.org/2000/svg";
const ROW = 2; // height of a request's row in the drawing's own units, of which its bar fills half
const BAR = 1;
const ROOM = 1.4; // the axis is this much longer than a request, until the burst turns out to be longer still
const LABELS = 5;

const form = document.getElementById("burst-form");
const button = form.querySelector("button");
const drawing = document.getElementById("bars");
const axis = document.getElementById("axis");
const outcome = document.getElementById("outcome");
const figure = (id) => document.getElementById(id);

/** A burst: its requests, each with `began`, `ended` and `status` as far as known, in seconds since its start. */
class Burst {
  constructor({ count, seconds }) {
    this.seconds = seconds;
    this.requests = Array.from({ length: count }, () => ({}));
    this.started = performance.now();
  }

  take({ number, ...news }) {
    Object.assign(this.requests[number], news);
  }

  get elapsed() {
    return Math.max(0, ...this.requests.map((request) => request.ended ?? 0));
  }

  get failed() {
    return this.requests.filter((request) => request.status !== 200).length;
  }

  /** The largest number of requests that were in flight at the same moment. */
  get overlap() {
    const moments = this.requests.flatMap(({ began, ended }) => [[began, 1], [ended, -1]]);
    moments.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    let now = 0;
    return moments.reduce((most, [, step]) => Math.max(most, (now += step)), 0);
  }
}

async function* readLines(stream) {
  let rest = "";
  for await (const text of pieces(stream.pipeThrough(new TextDecoderStream()))) {
    const lines = (rest + text).split("\n");
    rest = lines.pop();
    yield* lines.map((line) => JSON.parse(line));
  }
}

// Not every browser lets a ReadableStream be iterated over directly.
async function* pieces(stream) {
  const reader = stream.getReader();
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) yield piece.value;
}

async function fire() {
  const response = await fetch(`${document.body.dataset.burst}?${new URLSearchParams(new FormData(form))}`);
  if (!response.ok) throw new Error((await response.json()).error);
  let burst = null;
  let frame = 0;
  const animate = () => {
    draw(burst, (performance.now() - burst.started) / 1000);
    frame = requestAnimationFrame(animate);
  };
  try {
    for await (const line of readLines(response.body)) {
      if (burst) {
        burst.take(line);
      } else {
        burst = new Burst(line);
        prepare(burst);
        animate();
      }
    }
  } finally {
    cancelAnimationFrame(frame);
  }
  if (!burst || burst.requests.some(({ ended }) => ended === undefined)) throw new Error("the server went away");
  draw(burst, burst.elapsed);
  report(burst);
}

function prepare(burst) {
  const bars = burst.requests.map((_, number) => {
    const bar = document.createElementNS(SVG, "rect");
    bar.setAttribute("y", number * ROW);
    bar.setAttribute("height", BAR);
    return bar;
  });
  drawing.replaceChildren(...bars);
  figure("serial").textContent = `${(burst.requests.length * burst.seconds).toLocaleString("en")} s`;
  figure("elapsed").textContent = figure("overlap").textContent = "–";
}

function draw(burst, now) {
  const length = Math.max(burst.seconds * ROOM, now * 1.02);
  drawing.setAttribute("viewBox", `0 0 ${length} ${burst.requests.length * ROW}`);
  burst.requests.forEach(({ began, ended, status }, number) => {
    if (began === undefined) return;
    const bar = drawing.children[number];
    bar.setAttribute("x", began);
    bar.setAttribute("width", Math.max(0, (ended ?? now) - began));
    bar.dataset.state = ended === undefined ? "waiting" : status === 200 ? "done" : "failed";
  });
  label(length);
}

function label(length) {
  const labels = Array.from({ length: LABELS }, (_, i) => {
    const text = document.createElement("span");
    text.textContent = `${((length * i) / (LABELS - 1)).toFixed(2)} s`;
    return text;
  });
  axis.replaceChildren(...labels);
}

function report(burst) {
  const { elapsed, failed, overlap, requests } = burst;
  figure("elapsed").textContent = `${elapsed.toFixed(2)} s`;
  figure("overlap").textContent = overlap.toLocaleString("en");
  outcome.textContent = failed
    ? `${failed} of ${requests.length} requests failed; the server's log says why.`
    : `${requests.length} requests of ${burst.seconds} s took ${elapsed.toFixed(2)} s.`;
}

form.addEventListener("submit", async (submission) => {
  submission.preventDefault();
  button.disabled = true;
  outcome.textContent = "Running …";
  try {
    await fire();
  } catch (error) {
    outcome.textContent = `The burst did not finish: ${error.message}.`;
  } finally {
    button.disabled = false;
  }
});

label(Number(new FormData(form).get("seconds")) * ROOM);
