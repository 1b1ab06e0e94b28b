"""The users page as HTML. It holds no record: its script asks for them, and shows them as text."""

from __future__ import annotations

from html import escape
from string import Template


def users_page(token: str, nonce: str, registrar: str, servers: str) -> str:
    """:returns: the page

    :param token: what its requests are to show
    :param nonce: by which the browser knows its script and style
    """
    values = {"token": token, "nonce": nonce, "registrar": registrar, "servers": servers}
    return _PAGE.substitute({name: escape(text) for name, text in values.items()})


_PAGE = Template(
    """\
<!doctype html>
<html lang="en" data-token="$token" data-servers="$servers">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>relay: users of taas</title>
<style nonce="$nonce">
:root {
  color-scheme: light dark;
  --ground: #f5f6f8; --card: #ffffff; --ink: #1d2330; --soft: #5d6678; --line: #dde1e8;
  --accent: #3157d5; --on-accent: #ffffff; --good: #18794e; --bad: #b3261e;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #12151c; --card: #1a1f29; --ink: #e8ebf1; --soft: #9aa4b7; --line: #2c3341;
    --accent: #8ea8ff; --on-accent: #12151c; --good: #5fd39b; --bad: #ff8f86;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0; background: var(--ground); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif;
}
main { max-width: 54rem; margin: 0 auto; padding: 3rem 1.25rem 4rem; }
h1 { font-size: 2rem; line-height: 1.2; letter-spacing: -.02em; margin: 0 0 .4rem; }
h2 { font-size: 1.05rem; margin: 2.4rem 0 .8rem; }
p { margin: .4rem 0; }
.lead, small, dt { color: var(--soft); }
form, article {
  padding: 1rem 1.1rem; border-radius: .7rem; background: var(--card);
  border: 1px solid var(--line); margin-bottom: .6rem;
}
form { display: grid; grid-template-columns: repeat(auto-fit, minmax(12rem, 1fr)); gap: .8rem; }
form > :last-child { align-self: end; }
label { display: grid; gap: .2rem; font-size: .9rem; color: var(--soft); }
input {
  width: 100%; font: inherit; color: var(--ink); background: var(--ground);
  border: 1px solid var(--line); border-radius: .45rem; padding: .45rem .6rem;
}
button {
  font: inherit; font-weight: 600; border-radius: .45rem; padding: .45rem .9rem; cursor: pointer;
  border: 1px solid var(--accent); background: var(--accent); color: var(--on-accent);
}
button.quiet { background: none; color: var(--accent); }
button.bad { background: none; border-color: var(--bad); color: var(--bad); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
article header { display: flex; flex-wrap: wrap; gap: .5rem; align-items: baseline; }
article h3 { margin: 0; font-size: 1.05rem; flex: 1 1 12rem; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; margin: .6rem 0 0; }
dd { margin: 0; overflow-wrap: anywhere; font-family: ui-monospace, Menlo, Consolas, monospace; }
details { margin-top: .6rem; }
summary { cursor: pointer; color: var(--accent); }
img { display: block; margin-top: .6rem; background: #ffffff; padding: .5rem; border-radius: .4rem;
  width: 15rem; max-width: 100%; image-rendering: pixelated; }
#said { min-height: 1.6rem; margin-top: 1rem; }
#said.good { color: var(--good); }
#said.bad { color: var(--bad); }
</style>
</head>
<body>
<main>
<h1>Who may register</h1>
<p class="lead">Each entry lets one hidden server stand for names below <b>$servers</b>. Hand it the
file of its entry; it registers at <b>$registrar</b> by itself.</p>
<p id="said" role="status" aria-live="polite"></p>

<h2>A hidden server</h2>
<form id="create">
<label>UUID, empty: a new one<input name="uuid" minlength="32" maxlength="200" autocomplete="off">
</label>
<label>Label<input name="label" required minlength="2" maxlength="200" autocomplete="off"
 placeholder="alpha"></label>
<label>Labels, more of them<input name="labels" autocomplete="off" placeholder="gw.alpha:62052">
</label>
<button>Create Steward</button>
</form>

<h2>A user of the MQTT broker</h2>
<form id="adduser">
<label>Username<input name="username" required autocomplete="off" placeholder="owntracks/alpha/bob">
</label>
<label>Password, 12 characters or more<input name="password" type="password" required minlength="12"
 autocomplete="new-password"></label>
<button>Create User</button>
</form>

<h2>Entries</h2>
<div id="entries"></div>
<noscript><p>This page needs its script; "relay token taas" does the same without.</p></noscript>
</main>
<script nonce="$nonce">
"use strict";
const token = document.documentElement.dataset.token;
const servers = document.documentElement.dataset.servers;
const byId = (id) => document.getElementById(id);

const say = (text, good) => {
  byId("said").textContent = text;
  byId("said").className = good ? "good" : "bad";
};

const ask = async (action, parameters = {}) => {
  const query = new URLSearchParams({action, ...parameters});
  let answer;
  try {
    const response = await fetch("/?" + query, {
      method: "POST", headers: {"X-Relay-Token": token}, cache: "no-store",
    });
    answer = response.ok ? await response.json()
      : {error: {diagnostic: (await response.text()).trim()}};
  } catch (error) {
    answer = {error: {diagnostic: "the router does not answer"}};
  }
  if (answer.error) throw new Error(answer.error.diagnostic);
  return answer.result;
};

const told = (work) => async (event) => {
  if (event) event.preventDefault();
  try { await work(event); } catch (error) { say(error.message, false); }
};

const made = (tag, text, className) => {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = String(text);
  if (className) element.className = className;
  return element;
};

const button = (text, className, work) => {
  const element = made("button", text, className);
  element.type = "button";
  element.addEventListener("click", told(work));
  return element;
};

const download = async (uuid) => {
  const {file, text} = await ask("provision", {uuid});
  const link = made("a");
  link.href = URL.createObjectURL(new Blob([text], {type: "text/javascript"}));
  link.download = file;
  link.click();
  URL.revokeObjectURL(link.href);
  say(file + " is for the hidden server alone: it holds its secret", true);
};

const secret = (key, codes) => {
  const details = made("details");
  details.append(made("summary", "Secret and QR code"));
  details.addEventListener("toggle", told(async () => {
    if (!details.open || details.querySelector("img")) return;
    const picture = made("img");
    picture.src = (await ask("provision", {uuid: key})).qrcodeURL;
    picture.alt = "QR code for an authenticator app";
    const list = made("dl");
    list.append(made("dt", "Base32"), made("dd", codes.base32));
    details.append(list, picture);
  }));
  return details;
};

const shown = ([key, entry]) => {
  const codes = entry.authParams || {};
  const labels = Array.isArray(entry.labels) ? entry.labels : [];
  const isUser = codes.protocol === "bcrypt";
  const article = made("article");
  const header = made("header");
  header.append(made("h3", labels.length ? labels.join(", ") : key));
  if (codes.base32) header.append(button("Download file", "quiet", () => download(key)));
  header.append(button("Delete", "bad", async () => {
    const name = labels.join(", ") || key;
    if (!confirm("Delete " + name + "? It is cut off within ten seconds.")) return;
    const result = isUser ? await ask("deluser", {username: key})
      : await ask("delete", {uuid: key});
    show(result.entries);
    say(key + " is deleted", true);
  }));
  const list = made("dl");
  for (const [name, value] of [
    [isUser ? "User" : "UUID", key], ["Protocol", codes.protocol], ["Algorithm", codes.algorithm],
    ["Step", codes.step && codes.step + " s"],
    ["Names", labels.map((label) => String(label).split(":")[0] + "." + servers).join(" ")],
  ]) {
    if (value) list.append(made("dt", name), made("dd", value));
  }
  article.append(header, list);
  if (codes.base32) article.append(secret(key, codes));
  return article;
};

const show = (entries) => {
  const all = Object.entries(entries).map(shown);
  byId("entries").replaceChildren(...(all.length ? all : [made("p", "There are none yet.")]));
};

const send = (form, action, parameters) => {
  form.addEventListener("submit", told(async () => {
    const {entry} = await ask(action, parameters(new FormData(form)));
    form.reset();
    show((await ask("list")).entries);
    say((entry.uuid || entry.username) + " is created", true);
  }));
};

send(byId("create"), "create", (data) => ({
  uuid: data.get("uuid").trim(), label: data.get("label").trim(),
  labels: data.get("labels").trim().split(/[\\s,]+/).filter(Boolean).join(","),
}));
send(byId("adduser"), "adduser", (data) => Object.fromEntries(data));
told(async () => show((await ask("list")).entries))();
</script>
</body>
</html>
"""
)
