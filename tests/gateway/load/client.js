// What the measurements share: servers that they start, and readers of server-sent events that cost little.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import net from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

// A server in a process of its own, which says "listening at URL" once it does: weir-gateway, or js/server.js where
// that is installed.
export class Server {
  static async start(program) {
    const server = new Server();
    server.folder = mkdtempSync(join(tmpdir(), "weir-load-"));
    const command = program.endsWith(".js") ? [process.execPath, program, server.folder] : [program, "--port=0"];
    server.child = spawn(command[0], command.slice(1), { stdio: ["ignore", "pipe", "inherit"] });
    process.on("exit", () => server.child.kill());
    for await (const line of createInterface({ input: server.child.stdout })) {
      const listens = line.match(/^listening at (http:\S+)$/);
      if (!listens) continue;
      server.child.stdout.resume();
      server.url = listens[1];
      server.port = Number(new URL(server.url).port);
      return server;
    }
    throw new Error(`${program} ended before it listened`);
  }

  async stop() {
    const exit = once(this.child, "exit");
    this.child.kill("SIGTERM");
    await exit;
    rmSync(this.folder, { recursive: true });
  }

  async post(path, body) {
    const response = await fetch(this.url + path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    if (!response.ok) throw new Error(`POST ${path}: ${response.status} ${await response.text()}`);
    return response.json();
  }

  // Of its memory, now.
  residentBytes() {
    return Number(readFileSync(`/proc/${this.child.pid}/status`, "utf8").match(/^VmRSS:\s+(\d+) kB$/m)[1]) * 1024;
  }

  cpuSeconds() {
    const fields = readFileSync(`/proc/${this.child.pid}/stat`, "utf8").split(") ")[1].split(" ");
    return (Number(fields[11]) + Number(fields[12])) / 100;
  }
}

export const ownCpuSeconds = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};

// Reads a stream over a connection of its own. `onEvent` is called with each event's id. The result is the ids' number
// and whether they are 0, 1, 2 and so on, and the answer came to its end.
export function read(port, { method = "GET", path, lastEventId, body, onEvent = () => {} }) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, "127.0.0.1");
    const json = body === undefined ? "" : JSON.stringify(body);
    socket.write(
      `${method} ${path} HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\n` +
        (lastEventId === undefined ? "" : `last-event-id: ${lastEventId}\r\n`) +
        (body === undefined ? "" : `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(json)}\r\n`) +
        `\r\n${json}`,
    );
    socket.setEncoding("latin1");
    let text = ""; // What has come and is not read yet.
    let inHead = true;
    let left = 0; // Of the chunk at hand, with the line's end after it.
    let line = "";
    let events = 0;
    let whole = true;
    const take = (payload) => {
      line += payload;
      let from = 0;
      for (let end; (end = line.indexOf("\n", from)) >= 0; from = end + 1) {
        if (!line.startsWith("id: ", from)) continue;
        const id = Number(line.slice(from + 4, end));
        whole &&= id === events;
        ++events;
        onEvent(id);
      }
      line = line.slice(from);
    };
    socket.on("data", (data) => {
      text += data;
      if (inHead) {
        const end = text.indexOf("\r\n\r\n");
        if (end < 0) return;
        if (!text.startsWith("HTTP/1.1 200")) return reject(new Error(`${method} ${path}: ${text}`));
        inHead = false;
        text = text.slice(end + 4);
      }
      for (;;) {
        if (left > 0) {
          const part = Math.min(left, text.length);
          take(text.slice(0, Math.max(0, Math.min(part, left - 2))));
          text = text.slice(part);
          left -= part;
          if (left > 0) return;
        }
        const end = text.indexOf("\r\n");
        if (end < 0) return;
        const size = parseInt(text.slice(0, end), 16);
        text = text.slice(end + 2);
        if (size === 0) {
          socket.end();
          return resolve({ events, whole });
        }
        left = size + 2;
      }
    });
    socket.on("error", () => {}); // It closes then.
    socket.on("close", () => resolve({ events, whole: false }));
  });
}

export const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);
export const quantile = (sorted, q) => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
