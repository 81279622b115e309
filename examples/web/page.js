// A browser as a peer of two sockets: it converses with a PAIR and hears a PUB. No library is needed: one
// WebSocket message is one message, and the subprotocol is the name of the socket that is connected to.
//
// The addresses are in the page's own: index.html#pair=ws://127.0.0.1:5555&pub=ws://127.0.0.1:5556
"use strict";

const addresses = new URLSearchParams(location.hash.slice(1));
const utf8 = new TextDecoder();

// How long to wait before connecting again, in milliseconds.
const RECONNECT_MS = 1000;

// Connects to the socket `name` now and whenever the connection is lost. Text messages arrive as strings, binary
// ones as ArrayBuffer. The result has the WebSocket of the moment in `socket`.
function connect(name, opened, received) {
  const state = document.getElementById(`${name}-state`);
  const connection = { socket: null };
  const attempt = () => {
    const socket = new WebSocket(addresses.get(name), `${name}.sp.nanomsg.org`);
    socket.binaryType = "arraybuffer";
    socket.onopen = () => {
      state.textContent = "connected";
      connection.socket = socket;
      opened(socket);
    };
    socket.onmessage = (event) => received(socket, event.data);
    socket.onclose = () => {
      state.textContent = "not connected";
      connection.socket = null;
      setTimeout(attempt, RECONNECT_MS);
    };
  };
  attempt();
  return connection;
}

function show(name, text) {
  const line = document.createElement("li");
  line.textContent = text;
  document.getElementById(`${name}-lines`).append(line);
}

const pair = connect(
  "pair",
  (socket) => socket.send("hello from the browser"),
  (socket, data) => {
    if (typeof data === "string") {
      show("pair", `text: ${data}`);
      socket.send(`you said: ${data}`);
    } else {
      show("pair", `${data.byteLength} bytes`);
      // Bytes are sent back as they are.
      socket.send(data);
    }
  },
);

// A PUB sends everything to everybody; whoever wants less leaves out what does not begin with the topic.
const TOPIC = "volume";

connect(
  "pub",
  () => pair.socket?.send("listening"),
  (_, data) => {
    const news = typeof data === "string" ? data : utf8.decode(data);
    if (news.startsWith(TOPIC)) {
      show("pub", news);
      pair.socket?.send(`seen: ${news}`);
    }
  },
);

document.getElementById("say").onsubmit = (event) => {
  const line = document.getElementById("line");
  pair.socket?.send(line.value);
  line.value = "";
  event.preventDefault();
};
