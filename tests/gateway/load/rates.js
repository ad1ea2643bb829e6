// How much comes through, and how soon, of servers that have the same graphs:
//
//   node rates.js [--rounds=3] [--events=10000] [--out=FILE.json] PROGRAM...
//
// Each PROGRAM is weir-gateway, or js/server.js where that is installed. Clients are in this process, and read what
// comes as fast as it comes. Of several rounds, the median counts.
import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { basename } from "node:path";
import { parseArgs } from "node:util";

import { quantile, read, Server, sum } from "./client.js";

const { values: options, positionals: programs } = parseArgs({
  allowPositionals: true,
  options: {
    rounds: { type: "string", default: "3" },
    events: { type: "string", default: "10000" },
    out: { type: "string" },
  },
});
const rounds = Number(options.rounds);
const ticks = Number(options.events);
const clients = 8;

const median = (numbers) => quantile(numbers.toSorted((a, b) => a - b), 0.5);

async function newThread(server) {
  return (await server.post("/threads", {})).thread_id;
}

// Streams a run, and returns how many events it had.
async function stream(server, thread, body, atLeast) {
  const { events, whole } = await read(server.port, { method: "POST", path: `/threads/${thread}/runs/stream`, body });
  if (!whole || events < atLeast) throw new Error(`a stream has ended after ${events} events`);
  return events;
}

// Resumable, as a run tells of its ticks faster than anybody reads them.
const ofTicks = { assistant_id: "slow", input: { n: ticks, ms: 0 }, stream_mode: "custom", stream_resumable: true };
const ofJokes = { assistant_id: "joke", input: { topic: "ice cream" }, stream_mode: "updates" };

// A run's three events, from the request on, one run after another.
async function jokeMilliseconds(server) {
  const took = [];
  for (let i = 0; i < 10; ++i) {
    const thread = await newThread(server);
    const began = performance.now();
    await stream(server, thread, ofJokes, 3);
    took.push(performance.now() - began);
  }
  return median(took);
}

// Runs one after another by each of several clients.
async function jokesPerSecond(server) {
  const until = performance.now() + 5000;
  const began = performance.now();
  const counts = await Promise.all(
    Array.from({ length: clients }, async () => {
      let runs = 0;
      for (; performance.now() < until; ++runs) await stream(server, await newThread(server), ofJokes, 3);
      return runs;
    }),
  );
  return (1000 * sum(counts)) / (performance.now() - began);
}

// Events of runs that tell of nothing but ticks, one run a client.
async function eventsPerSecond(server, clients) {
  const threads = await Promise.all(Array.from({ length: clients }, () => newThread(server)));
  const began = performance.now();
  const events = await Promise.all(threads.map((thread) => stream(server, thread, ofTicks, ticks + 1)));
  return (1000 * sum(events)) / (performance.now() - began);
}

// Events of a run that has ended, to many readers at once.
async function replayedPerSecond(server, readers) {
  const thread = await newThread(server);
  const run = await server.post(`/threads/${thread}/runs`, ofTicks);
  const path = `/threads/${thread}/runs/${run.run_id}`;
  const first = await read(server.port, { path: `${path}/stream`, lastEventId: -1 });
  if (!first.whole || first.events !== ticks + 1) throw new Error(`a replay has ended after ${first.events} events`);
  const began = performance.now();
  const ends = await Promise.all(
    Array.from({ length: readers }, () => read(server.port, { path: `${path}/stream`, lastEventId: -1 })),
  );
  const seconds = (performance.now() - began) / 1000;
  if (ends.some((end) => !end.whole || end.events !== ticks + 1)) throw new Error("a replay is not whole");
  return sum(ends.map((end) => end.events)) / seconds;
}

const measures = {
  "a run of two steps, from the request to its stream's end, ms": jokeMilliseconds,
  [`such runs a second, ${clients} clients`]: jokesPerSecond,
  [`events a second, one run of ${ticks}`]: (server) => eventsPerSecond(server, 1),
  [`events a second, ${clients} runs at once`]: (server) => eventsPerSecond(server, clients),
  "events a second, 50 readers of a run that has ended": (server) => replayedPerSecond(server, 50),
};

const results = {};
for (const program of programs) {
  const name = basename(program) === "server.js" ? "the JavaScript Agent Server" : basename(program);
  const server = await Server.start(program);
  results[name] = {};
  for (const [what, measure] of Object.entries(measures)) {
    const figures = [];
    for (let i = 0; i < rounds; ++i) figures.push(await measure(server));
    results[name][what] = { median: median(figures), figures };
  }
  await server.stop();
}
if (options.out) {
  const machine = { cpu: cpus()[0].model, cores: cpus().length, node: process.version };
  writeFileSync(options.out, `${JSON.stringify({ ...machine, results }, null, 2)}\n`);
}
const shown = (number) => (number < 100 ? number.toPrecision(3) : Math.round(number).toLocaleString("en"));
console.log(`| | ${Object.keys(results).join(" | ")} |\n| --- |${" ---: |".repeat(programs.length)}`);
for (const what of Object.keys(measures)) {
  console.log(`| ${what} | ${Object.values(results).map((figures) => shown(figures[what].median)).join(" | ")} |`);
}
