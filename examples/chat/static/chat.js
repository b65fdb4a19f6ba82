// The page in a room: shows what is said and who is there, sends what is written, and comes back by itself.

const FIRST_RETRY_MS = 500;
const LONGEST_RETRY_MS = 15000;
const NOT_LET_IN = 4000;
const MOST_SHOWN = 500; // entries; older ones are dropped

const { live, room, nickname } = document.body.dataset;
const status = document.getElementById("status");
const talk = document.getElementById("talk");
const list = document.getElementById("members");
const form = document.getElementById("say");
const problem = document.getElementById("problem");
const { text } = form.elements;

let socket = null;
let retry = 0;
let pause = FIRST_RETRY_MS;
let members = new Set();

const handlers = {
  welcome({ members: names, history }) {
    members = new Set(names);
    talk.replaceChildren();
    history.forEach(showSaid);
    showMembers();
  },
  joined({ nickname: name }) {
    members.add(name);
    showMembers();
    show("notice", `${name} has joined`);
  },
  left({ nickname: name }) {
    members.delete(name);
    showMembers();
    show("notice", `${name} has left`);
  },
  said: showSaid,
  refused({ reason }) {
    problem.textContent = reason;
  },
};

function connect() {
  const address = `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}${live}`;
  socket = new WebSocket(`${address}?${new URLSearchParams({ room, nickname })}`);
  socket.addEventListener("open", () => {
    pause = FIRST_RETRY_MS;
    showStatus("live", "Connected");
  });
  socket.addEventListener("message", ({ data }) => {
    const { event, ...content } = JSON.parse(data);
    handlers[event](content);
  });
  socket.addEventListener("close", ({ code, reason }) => {
    if (code === NOT_LET_IN) {
      showStatus("lost", "Not let in");
      problem.textContent = reason;
      return;
    }
    showStatus("lost", "Reconnecting");
    // Not all pages at once, when a server comes back to them.
    retry = setTimeout(connect, pause * (0.5 + Math.random()));
    pause = Math.min(2 * pause, LONGEST_RETRY_MS);
  });
}

function showStatus(state, words) {
  status.dataset.state = state;
  status.textContent = words;
  for (const element of form.elements) element.disabled = state !== "live";
  if (state === "live") problem.textContent = "";
}

function showMembers() {
  list.replaceChildren(
    ...[...members].sort((a, b) => a.localeCompare(b)).map((name) => {
      const item = document.createElement("li");
      item.textContent = name === nickname ? `${name} (you)` : name;
      return item;
    }),
  );
}

function showSaid({ nickname: name, text: words, time }) {
  const who = document.createElement("strong");
  const when = document.createElement("time");
  const moment = new Date(1000 * time);
  who.textContent = name;
  when.dateTime = moment.toISOString();
  when.textContent = moment.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  show(name === nickname ? "own" : "", who, when, words);
}

function show(kind, ...content) {
  const atEnd = talk.scrollHeight - talk.scrollTop - talk.clientHeight < 40;
  const item = document.createElement("li");
  item.className = kind;
  item.append(...content.map((part) => (typeof part === "string" ? paragraph(part) : part)));
  talk.append(item);
  if (talk.children.length > MOST_SHOWN) talk.firstChild.remove();
  if (atEnd) talk.scrollTop = talk.scrollHeight;
}

function paragraph(words) {
  const element = document.createElement("p");
  element.textContent = words;
  return element;
}

form.addEventListener("submit", (submission) => {
  submission.preventDefault();
  problem.textContent = "";
  socket.send(text.value);
  text.value = "";
  text.focus();
});

addEventListener("pagehide", () => {
  clearTimeout(retry);
  socket.close();
});
addEventListener("pageshow", connect);
