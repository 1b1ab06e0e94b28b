"""What the page of the demo of topics does: the whole of a browser's part, without any library."""

from __future__ import annotations

SCRIPT = """\
const at = (id) => document.getElementById(id);
const show = (id, value) => { at(id).textContent = value; };
const tell = (id, text, good) => { show(id, text); at(id).classList.toggle("off", !good); };
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const LINES = 200, AGAIN_MS = 1000, REPORT_MS = 2000;
let lab, cancelled = false, again = () => {};

// a session: the token is shown, the answer is an address that is good once and for half a minute
const session = async (seat) => {
  const asked = { method: "POST", headers: { Authorization: seat.token } };
  const answer = await (await fetch(seat.session, asked)).json();
  if (!answer.uri) throw new Error(answer.message || answer);
  return answer.uri;
};

// a member of a topic, for as long as the page is there
const attend = async (name, heard, opened = () => {}) => {
  const seat = { socket: null, say: (text) => seat.socket.send(text) };
  const one = (uri) => new Promise((resolve) => {
    const socket = new WebSocket(uri);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      seat.socket = socket;
      tell(`${name}-is`, "connected", true);
      opened(seat);
    };
    socket.onmessage = (event) => heard(event.data);
    socket.onclose = () => { seat.socket = null; resolve(); };
  });
  (async () => {
    for (;;) {
      try {
        await one(await session(lab.seats[name]));
        tell(`${name}-is`, "the router has ended this link", false);
        await pause(AGAIN_MS);
      } catch (error) {
        tell(`${name}-is`, `refused: ${error.message}`, false);
        const allowed = new Promise((resolve) => {
          const before = again;
          again = () => { before(); resolve(); };
        });
        await (cancelled && name !== "stats" ? allowed : pause(AGAIN_MS));
      }
    }
  })();
  return seat;
};

// what came
const counts = { frames: 0, videoBytes: 0, messages: 0, dataBytes: 0 };
let recent = [], shown = null;
const picture = (data) => {
  const url = URL.createObjectURL(new Blob([data], { type: "image/png" }));
  const old = shown;
  shown = url;
  at("feed").src = url;
  if (old) URL.revokeObjectURL(old);
  const now = performance.now();
  recent = [...recent.filter((then) => now - then < 1000), now];
  counts.frames += 1;
  counts.videoBytes += data.byteLength;
};
const sizeOf = (data) => (typeof data === "string" ? new TextEncoder().encode(data).length
  : data.byteLength);
const line = (text, way) => {
  const item = document.createElement("li");
  item.className = way;
  const arrow = way === "out" ? "\\u2192" : "\\u2190";
  item.textContent = `${new Date().toLocaleTimeString()} ${arrow} ${text}`;
  at("log").append(item);
  while (at("log").children.length > LINES) at("log").firstChild.remove();
  at("log").scrollTop = at("log").scrollHeight;
};
const word = (data) => {
  counts.messages += 1;
  counts.dataBytes += sizeOf(data);
  line(typeof data === "string" ? data : `${data.byteLength} bytes`, "in");
  try {
    const { speed } = JSON.parse(data);
    if (typeof speed === "number") at("speed").value = speed;
  } catch { /* it is no JSON, and means nothing to the slider */ }
};
const present = (data) => {
  let members;
  try { members = JSON.parse(data); } catch { return; }
  if (!Array.isArray(members)) return;
  at("who").replaceChildren(...members.map((one) => {
    const row = document.createElement("tr");
    const may = [one.canRead && "read", one.canWrite && "write"].filter(Boolean).join(", ");
    const since = one.connected.slice(11, 19);
    for (const text of [one.topic, may, since, one.userAgent.slice(0, 40) || "\\u2013"]) {
      row.append(Object.assign(document.createElement("td"), { textContent: text }));
    }
    return row;
  }));
};
setInterval(() => {
  const now = performance.now();
  show("frames", counts.frames.toLocaleString());
  show("rate", recent.filter((then) => now - then < 1000).length);
  show("video-bytes", counts.videoBytes.toLocaleString());
  show("messages", counts.messages.toLocaleString());
  show("data-bytes", counts.dataBytes.toLocaleString());
}, 250);

// the booking
const decide = async (verb) => {
  const query = new URLSearchParams({ bid: lab.booking, exp: lab.expires });
  const asked = { method: "POST", headers: { Authorization: lab.admin } };
  const answer = await fetch(`${lab.access}/bids/${verb}?${query}`, asked);
  if (answer.status !== 204) return tell("booking-is", await answer.text(), false);
  cancelled = verb === "deny";
  at("cancel").disabled = cancelled;
  at("allow").disabled = !cancelled;
  tell("booking-is", cancelled ? "it is cancelled" : "it is good", !cancelled);
  if (!cancelled) {
    const waiting = again;
    again = () => {};
    waiting();
  }
};
at("cancel").onclick = () => decide("deny");
at("allow").onclick = () => decide("allow");

(async () => {
  lab = await (await fetch("lab.json")).json();
  show("booking", lab.booking);
  await attend("video", picture);
  const data = await attend("data", word);
  const say = (text) => {
    if (!data.socket) return line("nobody hears this: there is no link", "in");
    data.say(text);
    line(text, "out");
  };
  at("talk").onsubmit = (event) => { event.preventDefault(); say(at("words").value); };
  at("speed").onchange = () => say(JSON.stringify({ set: "speed", to: Number(at("speed").value) }));
  const update = (seat) => seat.say(JSON.stringify({ cmd: "update" }));
  const stats = await attend("stats", present, update);
  setInterval(() => { if (stats.socket) update(stats); }, REPORT_MS);
})();"""
