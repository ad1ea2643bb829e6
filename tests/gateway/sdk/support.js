// What the tests share: a gateway of their own, clients, and ways to read streams.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

import { Client } from "@langchain/langgraph-sdk";

const program = process.argv[2];

// A weir-gateway that has been started.
export class Gateway {
  static async start(...flags) {
    const gateway = new Gateway();
    gateway.child = spawn(program, flags, {
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, WEIR_API_KEY: "" },
    });
    process.on("exit", () => gateway.child.kill("SIGKILL"));
    const lines = createInterface({ input: gateway.child.stdout });
    const [line] = await Promise.race([
      once(lines, "line"),
      once(gateway.child, "exit").then(([code]) => assert.fail(`${program} ended with ${code} before it listened`)),
    ]);
    gateway.child.once("exit", (code, signal) => {
      if (gateway.ending) return;
      console.error(`${program} ended by itself: ${signal ?? code}`);
      process.exit(1);
    });
    gateway.url = line.match(/^listening at (http:\S+)$/)[1];
    return gateway;
  }

  get port() {
    return Number(new URL(this.url).port);
  }

  // Ends it as a terminal does.
  async stop() {
    await this.end("SIGTERM");
    assert.equal(this.child.exitCode, 0);
  }

  async kill() {
    await this.end("SIGKILL");
  }

  async end(signal) {
    this.ending = true;
    const exit = once(this.child, "exit");
    this.child.kill(signal);
    await exit;
  }
}

// For ids that are nobody's.
export const nobody = "01234567-89ab-7def-8123-456789abcdef";

// The one that most tests talk to.
export const gateway = await Gateway.start("--port", "0");

// With no key, whatever the environment has.
export function clientOf(apiUrl = gateway.url, options = {}) {
  return new Client({ apiUrl, apiKey: null, ...options });
}

export async function all(stream) {
  const events = [];
  for await (const event of stream) events.push(event);
  return events;
}

// The stream's events up to the first that `last` holds of. The stream can be read on.
export async function upTo(stream, last) {
  const events = [];
  for (;;) {
    const { done, value } = await stream.next();
    assert.ok(!done, `the stream ended after ${JSON.stringify(events)}`);
    events.push(value);
    if (last(value)) return events;
  }
}

// Makes a call by a client of its own, and waits until the server has begun to answer: what happens from then on is
// after the call. `answer` is the call's.
export async function answered(call, apiUrl = gateway.url) {
  let began;
  const begins = new Promise((resolve) => (began = resolve));
  const client = clientOf(apiUrl, {
    callerOptions: {
      fetch: async (...request) => {
        const response = await fetch(...request);
        began();
        return response;
      },
    },
  });
  const answer = call(client);
  answer.catch(() => {});
  await Promise.race([begins, answer]);
  return { answer };
}

// Opens a stream, and waits until its reader is there: it misses nothing that happens from then on.
export async function joined(open, apiUrl) {
  let stream;
  const { answer } = await answered((client) => {
    stream = open(client);
    return stream.next();
  }, apiUrl);
  return (async function* () {
    const { done, value } = await answer;
    if (done) return;
    yield value;
    yield* stream;
  })();
}

export const named = (...names) => (event) => names.includes(event.event);
export const names = (events) => events.map((event) => event.event);
export const ids = (events) => events.map((event) => Number(event.id));
export const data = (events, name) => events.filter(named(name)).map((event) => event.data);
export const range = (from, to) => Array.from({ length: Math.max(0, to - from) }, (_, i) => from + i);

// That the gateway refuses, with this status and a text that says why.
export async function refused(promise, status, why) {
  await assert.rejects(promise, (error) => {
    assert.equal(error.status, status, error.message);
    assert.match(JSON.parse(error.text).detail, why);
    return true;
  });
}
