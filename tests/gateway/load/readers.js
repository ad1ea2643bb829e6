// Many readers of many live runs, in another process on this machine:
//
//   node readers.js [--readers=2000] [--runs=200] [--seconds=30] [--out=FILE.json] PROGRAM
//
// PROGRAM is weir-gateway, or js/server.js where that is installed. Each run tells of ten ticks a second, and is read
// by READERS / RUNS readers, from its first event to its last. This fails unless each of them got all. A reader's
// memory is what the server needs beyond what it needs for the same runs without readers.
import { writeFileSync } from "node:fs";
import { cpus } from "node:os";
import { parseArgs } from "node:util";

import { ownCpuSeconds, quantile, read, Server, sum } from "./client.js";

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    readers: { type: "string", default: "2000" },
    runs: { type: "string", default: "200" },
    seconds: { type: "string", default: "30" },
    out: { type: "string" },
  },
});
const [program] = positionals;
const readers = Number(options.readers);
const runs = Number(options.runs);
const ticks = Number(options.seconds) * 10;

const mib = (bytes) => Math.round(bytes / 2 ** 20);

async function measure(readers) {
  const server = await Server.start(program);
  const idle = server.residentBytes();
  const paths = [];
  for (let i = 0; i < runs; ++i) {
    const { thread_id } = await server.post("/threads", {});
    const { run_id } = await server.post(`/threads/${thread_id}/runs`, {
      assistant_id: "slow",
      input: { n: ticks, ms: 100 },
      stream_mode: "custom",
      stream_resumable: true,
    });
    paths.push(`/threads/${thread_id}/runs/${run_id}`);
  }

  const began = performance.now();
  const cpu = { server: server.cpuSeconds(), client: ownCpuSeconds() };
  let peak = 0;
  const sampling = setInterval(() => (peak = Math.max(peak, server.residentBytes())), 500);
  // When the first reader of an event got it, and the last.
  const first = paths.map(() => new Float64Array(ticks + 1));
  const last = paths.map(() => new Float64Array(ticks + 1));
  const ends = await Promise.all(
    Array.from({ length: readers }, (_, i) => {
      const run = i % runs;
      return read(server.port, {
        path: `${paths[run]}/stream`,
        lastEventId: -1,
        onEvent: (id) => {
          const now = performance.now();
          first[run][id] ||= now;
          last[run][id] = now;
        },
      });
    }),
  );
  // With no readers, too, to the end of all runs.
  await Promise.all(paths.map((path) => fetch(`${server.url}${path}/join`).then((answer) => answer.json())));
  const wall = (performance.now() - began) / 1000;
  clearInterval(sampling);
  const result = {
    seconds: wall,
    events: sum(ends.map((end) => end.events)),
    incomplete: ends.filter((end) => !end.whole || end.events !== ticks + 1).length,
    idle_bytes: idle,
    peak_bytes: Math.max(peak, server.residentBytes()),
    server_cpu_percent: (100 * (server.cpuSeconds() - cpu.server)) / wall,
    client_cpu_percent: (100 * (ownCpuSeconds() - cpu.client)) / wall,
  };
  await server.stop();
  // Of live events: what came before all readers were there is as old as the youngest of them.
  const spreads = first.flatMap((times, run) => [...times.subarray(20).map((time, i) => last[run][i + 20] - time)]);
  spreads.sort((a, b) => a - b);
  return { ...result, spread_ms: { p50: quantile(spreads, 0.5), p99: quantile(spreads, 0.99), max: spreads.at(-1) } };
}

const without = await measure(0);
const loaded = await measure(readers);
const result = {
  cpu: cpus()[0].model,
  cores: cpus().length,
  readers,
  runs,
  ticks,
  without_readers: without,
  with_readers: loaded,
  bytes_per_reader: Math.round((loaded.peak_bytes - without.peak_bytes) / readers),
};
if (options.out) writeFileSync(options.out, `${JSON.stringify(result, null, 2)}\n`);
const percent = (number) => `${number.toFixed(0)} %`;
const { p50, p99 } = loaded.spread_ms;
console.log(`| | no readers | ${readers} readers |
| --- | ---: | ---: |
| live runs | ${runs} | ${runs} |
| readers that got every event | | ${readers - loaded.incomplete} |
| events/s to readers | | ${Math.round(loaded.events / loaded.seconds)} |
| the server's memory | ${mib(without.peak_bytes)} MiB | ${mib(loaded.peak_bytes)} MiB |
| of that, each reader's | | ${(result.bytes_per_reader / 1024).toFixed(1)} KiB |
| the server's CPU, of one core | ${percent(without.server_cpu_percent)} | ${percent(loaded.server_cpu_percent)} |
| the reading program's | | ${percent(loaded.client_cpu_percent)} |
| an event's first reader to its last, p50 / p99 | | ${p50.toFixed(1)} / ${p99.toFixed(1)} ms |`);
process.exit(loaded.incomplete === 0 ? 0 : 1);
