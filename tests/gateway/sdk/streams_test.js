// Streams of runs and of threads.
import assert from "node:assert/strict";
import { test } from "node:test";

import { all, clientOf, data, ids, joined, named, names, nobody, range, refused, upTo } from "./support.js";

const client = clientOf();

// A run that goes on until it is cancelled, and a reader that has had three of its ticks.
async function ticking(options = {}) {
  const { thread_id } = await client.threads.create();
  let run;
  const stream = client.runs.stream(thread_id, "slow", {
    input: { n: 1_000_000, ms: 1 },
    streamMode: "custom",
    onRunCreated: (created) => (run = created.run_id),
    ...options,
  });
  const had = await upTo(stream, (event) => event.data.tick === 2);
  return { thread: thread_id, run, stream, had };
}

const cancel = ({ thread, run }) => client.runs.cancel(thread, run, true);

test("a resumable run is replayed from any of its events", async () => {
  const { thread_id } = await client.threads.create();
  const { run_id } = await client.runs.create(thread_id, "slow", {
    input: { n: 30, ms: 2 },
    streamMode: ["values", "custom"],
    streamResumable: true,
  });
  const replay = (lastEventId) => all(clientOf().runs.joinStream(thread_id, run_id, { lastEventId }));

  // While it goes on: metadata, the state at first, its ticks, and the state after each of two steps.
  const whole = await replay("-1");
  assert.deepEqual(ids(whole), range(0, 34));
  assert.deepEqual(data(whole, "custom"), range(0, 30).map((tick) => ({ tick })));
  assert.deepEqual(whole.at(-1).data, { n: 30, ms: 2, done: "ticked 30" });
  // After its end.
  assert.deepEqual(await replay("-1"), whole);
  assert.deepEqual(await replay("11"), whole.slice(12));
  assert.deepEqual(await replay("33"), []);
  assert.deepEqual(await replay("1000"), []);
  assert.deepEqual(await replay(undefined), []);
  await refused(replay("1f0e"), 422, /1f0e/);
});

test("five readers that join a resumable run in its middle get the same", async () => {
  const run = await ticking({ streamResumable: true });
  const readers = await Promise.all(
    ["-1", "0", "1", "2", "3"].map((lastEventId) =>
      joined((client) => client.runs.joinStream(run.thread, run.run, { lastEventId })),
    ),
  );
  const more = readers.map((reader) => upTo(reader, (event) => event.data.tick === 40));
  const first = [...run.had, ...(await upTo(run.stream, (event) => event.data.tick === 40))];
  for (const [i, events] of (await Promise.all(more)).entries()) assert.deepEqual(events, first.slice(i));
  // And the same end.
  await cancel(run);
  const rests = await Promise.all([run.stream, ...readers].map(all));
  for (const rest of rests) assert.deepEqual(rest, rests[0]);
});

test("a plain run is live for whoever is there", async () => {
  const run = await ticking();
  const reader = await joined((client) => client.runs.joinStream(run.thread, run.run));
  const late = await upTo(reader, (event) => event.data.tick >= 40);
  const first = [...run.had, ...(await upTo(run.stream, (event) => event.id === late.at(-1).id))];
  assert.deepEqual(first.slice(-late.length), late);
  assert.ok(late.length < first.length, "what came before it was there is lost");
  // Clients that have no id to send send this one.
  const again = await joined((client) => client.runs.joinStream(run.thread, run.run, { lastEventId: "-1" }));
  assert.ok(Number((await again.next()).value.id) > 3);
  await cancel(run);
  await Promise.all([run.stream, reader, again].map(all));
  assert.deepEqual(await all(client.runs.joinStream(run.thread, run.run)), []);
});

test("a reader that joins a run before its start gets all of it", async () => {
  const first = await ticking();
  const { run_id } = await client.runs.create(first.thread, "slow", {
    input: { n: 2, ms: 1 },
    streamMode: ["custom", "updates"],
    multitaskStrategy: "enqueue",
  });
  const reader = await joined((client) => client.runs.joinStream(first.thread, run_id));
  await cancel(first);
  const events = await all(reader);
  assert.deepEqual(names(events), ["metadata", "custom", "custom", "updates", "updates"]);
  assert.deepEqual(ids(events), range(0, 5));
});

test("a filter hides events and leaves the others as they are", async () => {
  const { thread_id } = await client.threads.create();
  const { run_id } = await client.runs.create(thread_id, "parent", {
    input: { foo: "x" },
    streamMode: ["values", "updates", "custom"],
    streamSubgraphs: true,
    streamResumable: true,
  });
  const join = (streamMode) => all(client.runs.joinStream(thread_id, run_id, { lastEventId: "-1", streamMode }));
  const whole = await join(undefined);
  assert.ok(whole.some((event) => /^custom\|child:[^|]+$/.test(event.event)), names(whole).join());
  for (const modes of [["custom"], ["updates", "custom"], ["values"]]) {
    const passes = (event) => ["metadata", ...modes].includes(event.event.split("|")[0]);
    assert.deepEqual(await join(modes), whole.filter(passes), `by ${modes}`);
  }
  assert.deepEqual(await join("updates"), await join(["updates"]));
  await refused(join("tasks"), 422, /tasks.*values, updates, custom/);
  await refused(join("bogus"), 422, /bogus/);
});

test("each mode has its events", async () => {
  const modes = {
    values: ["joke", ["values", "values", "values"]],
    updates: ["joke", ["updates", "updates"]],
    tasks: ["joke", ["tasks", "tasks", "tasks", "tasks"]],
    checkpoints: ["joke", ["checkpoints", "checkpoints", "checkpoints", "checkpoints"]],
    custom: ["fan", Array(6).fill("custom")],
    messages: [
      "chat",
      [
        "messages/complete",
        "messages/metadata",
        "messages/partial",
        "messages/partial",
        "messages/partial",
        "messages/complete",
      ],
    ],
    "messages-tuple": ["chat", ["messages", "messages", "messages"]],
  };
  const inputs = {
    joke: { topic: "a" },
    fan: { x: "0" },
    chat: { messages: [{ role: "human", content: "hi", id: "m1" }] },
  };
  const stream = async (streamMode, graph = "joke") => {
    const { thread_id } = await client.threads.create();
    return all(client.runs.stream(thread_id, graph, { input: inputs[graph], streamMode }));
  };
  for (const [mode, [graph, wanted]] of Object.entries(modes)) {
    assert.deepEqual(names(await stream(mode, graph)), ["metadata", ...wanted], mode);
  }
  const debug = data(await stream("debug"), "debug").map((event) => event.type);
  assert.deepEqual(debug.toSorted(), [...Array(4).fill("checkpoint"), "task", "task", "task_result", "task_result"]);
  const seen = data(await stream("events"), "events").map((event) => `${event.event} ${event.name}`);
  for (const name of ["joke", "refine_topic", "generate_joke"]) {
    assert.ok(seen.includes(`on_chain_start ${name}`) && seen.includes(`on_chain_end ${name}`), seen.join());
  }
  assert.deepEqual(names(await stream(undefined)), ["metadata", "values", "values", "values"], "values by default");
  assert.deepEqual(
    data(await stream("messages", "chat"), "messages/partial").map(([message]) => message.content),
    ["Hel", "Hello", "Hello!"],
  );
});

test("any text comes through", async () => {
  const topics = ['lines\r\nand \u2028 more\n\nid: 7\n\n', 'ü 😀 \u0000 "quoted" \\', "x".repeat(1 << 20)];
  for (const topic of topics) {
    const { thread_id } = await client.threads.create();
    const events = await all(client.runs.stream(thread_id, "joke", { input: { topic }, streamMode: "updates" }));
    assert.deepEqual(names(events), ["metadata", "updates", "updates"]);
    assert.equal(events[1].data.refine_topic.topic, `${topic} and cats`);
    assert.equal((await client.threads.getState(thread_id)).values.topic, `${topic} and cats`);
  }
});

test("a failing run's stream ends with its error", async () => {
  const { thread_id } = await client.threads.create();
  const stream = client.runs.stream(thread_id, "boom", {
    input: { x: "in" },
    streamMode: ["values", "updates"],
    streamResumable: true,
  });
  const events = await all(stream);
  assert.deepEqual(names(events), ["metadata", "values", "updates", "values", "error"]);
  assert.equal(typeof events.at(-1).data.error, "string");
  assert.match(events.at(-1).data.message, /Boo!/);
  const [run] = await client.runs.list(thread_id);
  assert.equal(run.status, "error");
  assert.equal((await client.threads.get(thread_id)).status, "error");
  const replay = client.runs.joinStream(thread_id, run.run_id, { lastEventId: "3" });
  assert.deepEqual(await all(replay), events.slice(-1));
});

test("a reader that leaves cancels the run only if it has said so", async () => {
  const run = await ticking();
  const leave = async (cancelOnDisconnect) => {
    const abort = new AbortController();
    const reader = client.runs.joinStream(run.thread, run.run, { cancelOnDisconnect, signal: abort.signal });
    await reader.next();
    abort.abort();
    await reader.next().catch(() => {});
  };
  await leave(false);
  const { data: { tick } } = (await upTo(run.stream, named("custom"))).at(-1);
  await upTo(run.stream, (event) => event.data.tick >= tick + 20);
  assert.equal((await client.runs.get(run.thread, run.run)).status, "running");

  await leave(true);
  await all(run.stream);
  assert.equal((await client.runs.get(run.thread, run.run)).status, "interrupted");
  assert.equal((await client.threads.get(run.thread)).status, "idle");
});

test("whoever streams a run can cancel it by leaving", async () => {
  const abort = new AbortController();
  const run = await ticking({ onDisconnect: "cancel", signal: abort.signal });
  const other = await joined((client) => client.runs.joinStream(run.thread, run.run));
  abort.abort();
  await all(other);
  assert.equal((await client.runs.get(run.thread, run.run)).status, "interrupted");
});

test("streams of what is not there are refused", async () => {
  const { thread_id } = await client.threads.create();
  const { thread_id: other } = await client.threads.create();
  const { run_id } = await client.runs.create(other, "joke", { input: { topic: "a" } });
  await client.runs.join(other, run_id);
  for (const [thread, run] of [[nobody, nobody], [thread_id, nobody], [thread_id, run_id], [null, nobody]]) {
    await refused(all(client.runs.joinStream(thread, run)), 404, new RegExp(thread === nobody ? thread : run));
  }
  await refused(client.runs.join(thread_id, run_id), 404, new RegExp(run_id));
  await refused(all(client.threads.joinStream(nobody)), 404, new RegExp(nobody));
  await refused(all(client.runs.stream(thread_id, "nobody", { input: {} })), 404, /nobody/);
  await refused(all(client.runs.stream(thread_id, "joke", { input: {}, streamMode: "bogus" })), 422, /bogus/);
});

test("a thread's stream has all of its runs, those to come too", async () => {
  const { thread_id } = await client.threads.create();
  const abort = new AbortController();
  const join = (options) =>
    joined((client) => client.threads.joinStream(thread_id, { signal: abort.signal, ...options }));
  const done = (run_id) => (event) => event.data.status === "run_done" && event.data.run_id === run_id;
  // Before there is any run.
  const readers = await Promise.all([
    join(),
    join({ streamMode: "lifecycle" }),
    join({ streamMode: ["state_update"] }),
    join({ streamMode: ["run_modes", "lifecycle", "state_update"] }),
  ]);
  const runs = [];
  for (const topic of ["a", "b"]) {
    const run = await client.runs.create(thread_id, "joke", {
      input: { topic },
      streamMode: "updates",
      streamResumable: true,
    });
    runs.push(run.run_id);
    await client.runs.join(thread_id, run.run_id);
  }
  const last = [
    done(runs[1]),
    done(runs[1]),
    (event) => event.data.run_id === runs[1],
    (event) => event.event === "state_update" && event.data.run_id === runs[1],
  ];
  const [byRun, lifecycle, states, everything] = await Promise.all(readers.map((reader, i) => upTo(reader, last[i])));
  const oneRun = ["metadata", "updates", "updates", "metadata"];
  assert.deepEqual(names(byRun), [...oneRun, ...oneRun]);
  assert.deepEqual(
    data(byRun, "metadata"),
    runs.flatMap((run_id) => [{ run_id, attempt: 1 }, { status: "run_done", run_id }]),
  );
  assert.deepEqual(data(byRun, "updates")[2], { refine_topic: { topic: "b and cats" } });
  assert.deepEqual(data(lifecycle, "metadata"), data(byRun, "metadata"));
  assert.equal(lifecycle.length, 4);
  assert.deepEqual(names(states), ["state_update", "state_update"]);
  assert.deepEqual(
    states.map((event) => event.data.values.joke),
    ["This is a joke about a and cats", "This is a joke about b and cats"],
  );
  assert.deepEqual(names(everything).toSorted(), [...names(byRun), ...names(states)].toSorted());
  assert.deepEqual(ids(everything), ids(everything).toSorted((a, b) => a - b));
  assert.equal(new Set(ids(everything)).size, everything.length);

  // And from the beginning, or from one of its events, for who comes later.
  const again = await join({ lastEventId: "-" });
  assert.deepEqual(await upTo(again, done(runs[1])), byRun);
  const part = await join({ lastEventId: byRun[2].id });
  assert.deepEqual(await upTo(part, done(runs[1])), byRun.slice(3));
  await refused(join({ streamMode: "bogus" }).then(all), 422, /bogus/);
  abort.abort();
});
