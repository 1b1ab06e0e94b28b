"use strict";

// Does what real pages do, and leaves what it saw on the application's board named by the query.

const query = new URLSearchParams(location.search);
const BYTES = Number(query.get("bytes"));
const ROOM = query.get("room");

const CHECKS = {
  place() {
    return location.pathname;
  },

  style() {
    return getComputedStyle(document.getElementById("styled")).color;
  },

  picture() {
    return document.getElementById("picture").naturalWidth;
  },

  async link() {
    const answer = await fetch(document.getElementById("link").href);
    return [answer.status, new URL(answer.url).pathname, await answer.text()];
  },

  async json() {
    const body = JSON.stringify({ greeting: "grüß Gott" });
    const headers = { "Content-Type": "application/json", "X-Own": "kept" };
    const answer = await fetch("json?a=b%2Fc", { method: "PUT", body, headers });
    const seen = await answer.json();
    return [seen.method, seen.target, seen.headers["x-own"], seen.bytes];
  },

  async redirect() {
    const answer = await fetch("redirect?to=static/note.txt");
    return [answer.redirected, new URL(answer.url).pathname, answer.status];
  },

  async cookie() {
    await fetch("cookie");
    const seen = await (await fetch("json")).json();
    return seen.headers["cookie"];
  },

  // each event is asked for only when the one before it has been heard
  events() {
    return new Promise((resolve, reject) => {
      const heard = [];
      const source = new EventSource(`events?room=${ROOM}`);
      source.onerror = () => reject(new Error("the events broke off"));
      source.onmessage = (event) => {
        heard.push(event.data);
        if (heard.length === 4) {
          source.close();
          resolve(heard);
        } else {
          fetch(`say?room=${ROOM}`, { method: "POST", body: `event ${heard.length}` });
        }
      };
    });
  },

  socket() {
    return new Promise((resolve) => {
      const seen = {};
      const socket = new WebSocket(`ws?room=${ROOM}`, ["other", "echo.v2"]);
      socket.binaryType = "arraybuffer";
      socket.onopen = () => {
        seen.protocol = socket.protocol;
        socket.send("grüß Gott");
      };
      socket.onmessage = (event) => {
        if (typeof event.data === "string") {
          seen.text = event.data;
          socket.send(new Uint8Array(1 << 20).fill(7));
        } else {
          seen.binary = event.data.byteLength;
          socket.send("close 4321 enough of it");
        }
      };
      socket.onclose = (event) => {
        seen.code = event.code;
        seen.reason = event.reason;
        resolve(seen);
      };
    });
  },

  socketClosedHere() {
    return new Promise((resolve) => {
      const socket = new WebSocket(`ws?room=${ROOM}-closes`);
      socket.onopen = () => socket.close(4002, "closed by the browser");
      socket.onclose = (event) => resolve([event.code, event.reason, event.wasClean]);
    });
  },

  async upload() {
    const body = new Uint8Array(1 << 20).fill(1);
    const seen = await (await fetch("upload", { method: "POST", body })).json();
    return [seen.bytes, seen.sha256 === (await digest(body))];
  },

  async download() {
    const answer = await fetch(`download?bytes=${BYTES}`);
    const body = await answer.arrayBuffer();
    return [body.byteLength, await digest(body)];
  },
};

async function digest(body) {
  const bytes = new Uint8Array(await crypto.subtle.digest("SHA-256", body));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function main() {
  const seen = {};
  for (const [name, check] of Object.entries(CHECKS)) {
    try {
      seen[name] = await check();
    } catch (error) {
      seen[name] = `FAILED: ${error}`;
    }
  }
  await fetch(`board?name=${ROOM}`, { method: "POST", body: JSON.stringify(seen) });
}

window.addEventListener("load", main);
