// Runs: how they are waited for, compete, stop, pause and fail.
import assert from "node:assert/strict";
import { test } from "node:test";

import { all, answered, clientOf, data, joined, names, nobody, refused, upTo } from "./support.js";

const client = clientOf();
const newThread = async () => (await client.threads.create()).thread_id;

// A run on a thread of its own that goes on until it is stopped; its node has begun.
async function endless(thread) {
  const stream = await joined((client) =>
    client.runs.stream(thread, "slow", { input: { n: 1_000_000, ms: 1 }, streamMode: "custom" }),
  );
  await upTo(stream, (event) => event.event === "custom");
  const [{ run_id }] = await client.runs.list(thread, { status: "running" });
  return { run_id, stream };
}

// A run that goes round and round, "A0", "A1" and so on, and has done so three times.
async function rounds(thread) {
  const stream = client.runs.stream(thread, "steps", {
    input: { k: 9000, ms: 1, tag: "A", i: 0 },
    streamMode: "values",
  });
  const had = await upTo(stream, (event) => event.data.trail?.length === 3);
  const [{ run_id }] = await client.runs.list(thread);
  return { run_id, stream, had };
}
const twoRounds = { k: 2, ms: 1, tag: "B", i: 0 };

test("wait returns the state at the end", async () => {
  const values = await client.runs.wait(await newThread(), "fan", { input: { x: "0" } });
  assert.deepEqual(values.out.toSorted(), ["fastest", "middle", "slowest"]);
  assert.equal(values.x, values.out.join());
});

test("wait throws a run's error, or returns it, as one likes", async () => {
  const thread = await newThread();
  await assert.rejects(client.runs.wait(thread, "boom", { input: { x: "in" } }), /Boo!/);
  const values = await client.runs.wait(thread, "boom", { input: { x: "in" }, raiseError: false });
  assert.equal(typeof values.__error__.error, "string");
  assert.match(values.__error__.message, /Boo!/);
  // Join has it too, each time.
  const [{ run_id, status }] = await client.runs.list(thread);
  assert.equal(status, "error");
  assert.deepEqual(await client.runs.join(thread, run_id), values);
  assert.deepEqual(await client.runs.join(thread, run_id), values);
});

test("a run that goes on for too long fails", async () => {
  const wait = client.runs.wait(await newThread(), "steps", {
    input: { k: 50, ms: 1, tag: "A" },
    config: { recursion_limit: 5 },
  });
  await assert.rejects(wait, /recursion limit of 5/);
});

test("a run that asks a person goes on with the answer", async () => {
  const thread = await newThread();
  const first = await all(client.runs.stream(thread, "ask", { input: { question: "ok?" }, streamMode: "updates" }));
  const [interrupt] = first.at(-1).data.__interrupt__;
  assert.deepEqual(interrupt.value, { ask: "ok?" });
  assert.match(interrupt.id, /^[0-9a-f]{32}$/);
  const asked = await client.threads.get(thread);
  assert.equal(asked.status, "interrupted");
  assert.deepEqual(Object.values(asked.interrupts), [[interrupt]]);
  const state = await client.threads.getState(thread);
  assert.deepEqual(state.next, ["human"]);
  assert.deepEqual(state.tasks.map(({ name, interrupts }) => ({ name, interrupts })), [
    { name: "human", interrupts: [interrupt] },
  ]);
  const [run] = await client.runs.list(thread);
  assert.equal(run.status, "success");
  const joined = await client.runs.join(thread, run.run_id);
  assert.deepEqual(joined.__interrupt__, [interrupt]);

  const second = await all(client.runs.stream(thread, "ask", { command: { resume: "yes" }, streamMode: "updates" }));
  assert.deepEqual(data(second, "updates"), [
    { human: { answer: "yes", log: ["human"] } },
    { after: { log: ["after"] } },
  ]);
  const { status, values, interrupts } = await client.threads.get(thread);
  assert.equal(status, "idle");
  assert.deepEqual(interrupts, {});
  assert.deepEqual(values, { question: "ok?", answer: "yes", log: ["prepare", "human", "after"] });
});

test("a run that is to stop before a node goes on from there", async () => {
  const thread = await newThread();
  const events = await all(
    client.runs.stream(thread, "joke", {
      input: { topic: "a" },
      streamMode: "updates",
      interruptBefore: ["generate_joke"],
    }),
  );
  assert.deepEqual(data(events, "updates"), [{ refine_topic: { topic: "a and cats" } }, { __interrupt__: [] }]);
  assert.deepEqual((await client.threads.getState(thread)).next, ["generate_joke"]);
  const values = await client.runs.wait(thread, "joke", { input: null });
  assert.deepEqual(values, { topic: "a and cats", joke: "This is a joke about a and cats" });
});

test("cancel returns once the run has stopped", async () => {
  const thread = await newThread();
  const run = await endless(thread);
  await client.runs.cancel(thread, run.run_id, true);
  assert.equal((await client.runs.get(thread, run.run_id)).status, "interrupted");
  assert.equal((await client.threads.get(thread)).status, "idle");
  const rest = await all(run.stream);
  assert.ok(!names(rest).includes("error"));
  // It has nothing to do for one that has ended.
  await client.runs.cancel(thread, run.run_id, true);
  await refused(client.runs.cancel(thread, nobody), 404, new RegExp(nobody));
});

test("a run that is rolled back is gone, and so is what it did", async () => {
  const thread = await newThread();
  const { trail } = await client.runs.wait(thread, "steps", { input: twoRounds });
  assert.deepEqual(trail, ["B0", "B1"]);
  const run = await rounds(thread);
  await client.runs.cancel(thread, run.run_id, true, "rollback");
  await refused(client.runs.get(thread, run.run_id), 404, new RegExp(run.run_id));
  assert.deepEqual((await client.threads.getState(thread)).values.trail, ["B0", "B1"]);
  assert.equal((await all(run.stream)).at(-1).data.error, "Rollback");
});

for (const how of ["wait", "join"]) {
  test(`who leaves in ${how} cancels the run if it has said so`, async () => {
    const thread = await newThread();
    const abort = new AbortController();
    const input = { n: 1_000_000, ms: 1 };
    const { signal } = abort;
    if (how === "wait") {
      await answered((client) => client.runs.wait(thread, "slow", { input, onDisconnect: "cancel", signal }));
    } else {
      const { run_id } = await client.runs.create(thread, "slow", { input });
      await answered((client) => client.runs.join(thread, run_id, { cancelOnDisconnect: true, signal }));
    }
    const [{ run_id }] = await client.runs.list(thread);
    abort.abort();
    await client.runs.join(thread, run_id);
    assert.equal((await client.runs.get(thread, run_id)).status, "interrupted");
  });
}

test("runs are cancelled many at a time, all or none", async () => {
  const thread = await newThread();
  const first = await endless(thread);
  const second = await client.runs.create(thread, "slow", { input: { n: 1, ms: 1 } });
  const runIds = [first.run_id, second.run_id];
  await refused(client.runs.cancelMany({ threadId: thread, runIds: [...runIds, nobody] }), 404, new RegExp(nobody));
  assert.equal((await client.runs.get(thread, second.run_id)).status, "pending");
  await client.runs.cancelMany({ threadId: thread, runIds });
  await Promise.all(runIds.map((id) => client.runs.join(thread, id)));
  assert.deepEqual((await client.runs.list(thread)).map((run) => run.status), ["interrupted", "interrupted"]);
});

test("a second run is rejected", async () => {
  const thread = await newThread();
  const first = await endless(thread);
  const create = client.runs.create(thread, "slow", { input: { n: 1, ms: 1 }, multitaskStrategy: "reject" });
  await refused(create, 409, new RegExp(thread));
  assert.deepEqual((await client.runs.list(thread)).map((run) => run.run_id), [first.run_id]);
  await client.runs.cancel(thread, first.run_id, true);
});

for (const strategy of ["enqueue", undefined]) {
  test(`a second run waits for the first${strategy ? "" : " by default"}`, async () => {
    const thread = await newThread();
    const first = await client.runs.create(thread, "steps", { input: { k: 60, ms: 1, tag: "A", i: 0 } });
    const second = await client.runs.create(thread, "steps", { input: twoRounds, multitaskStrategy: strategy });
    assert.equal(second.status, "pending");
    const { trail } = await client.runs.join(thread, second.run_id);
    assert.deepEqual(trail, [...Array.from({ length: 60 }, (_, i) => `A${i}`), "B0", "B1"]);
    assert.equal((await client.runs.get(thread, first.run_id)).status, "success");
  });
}

test("a second run interrupts the first, and goes on from what it did", async () => {
  const thread = await newThread();
  const first = await rounds(thread);
  const values = client.runs.wait(thread, "steps", { input: twoRounds, multitaskStrategy: "interrupt" });
  const { trail } = [...first.had, ...(await all(first.stream))].at(-1).data;
  assert.deepEqual((await values).trail, [...trail, "B0", "B1"]);
  assert.equal((await client.runs.get(thread, first.run_id)).status, "interrupted");
});

test("a second run rolls the first back, and goes on from before it", async () => {
  const thread = await newThread();
  const first = await rounds(thread);
  const values = client.runs.wait(thread, "steps", { input: twoRounds, multitaskStrategy: "rollback" });
  assert.equal((await all(first.stream)).at(-1).event, "error");
  assert.deepEqual((await values).trail, ["B0", "B1"]);
  await refused(client.runs.get(thread, first.run_id), 404, new RegExp(first.run_id));
});

test("stateless runs stream, wait and start", async () => {
  const input = { topic: "a" };
  const joke = { topic: "a and cats", joke: "This is a joke about a and cats" };
  let created;
  const events = await all(
    client.runs.stream(null, "joke", { input, streamMode: "updates", onRunCreated: (run) => (created = run) }),
  );
  assert.deepEqual(names(events), ["metadata", "updates", "updates"]);
  assert.equal(created.run_id, events[0].data.run_id);
  assert.equal(created.thread_id, undefined);

  assert.deepEqual(await client.runs.wait(null, "joke", { input }), joke);
  await assert.rejects(client.runs.wait(null, "boom", { input: { x: "in" } }), /Boo!/);

  // Its thread goes with it, unless it is to be kept.
  const kept = await client.runs.create(null, "joke", { input, onCompletion: "keep" });
  assert.deepEqual(await client.runs.join(kept.thread_id, kept.run_id), joke);
  assert.deepEqual((await client.threads.getState(kept.thread_id)).values, joke);
  const endless = await client.runs.create(null, "slow", { input: { n: 1_000_000, ms: 1 }, streamMode: "custom" });
  const reader = await joined((client) => client.runs.joinStream(null, endless.run_id));
  await upTo(reader, (event) => event.event === "custom");
  await client.runs.cancel(endless.thread_id, endless.run_id);
  await all(reader);
  await refused(client.threads.get(endless.thread_id), 404, new RegExp(endless.thread_id));
});

test("a batch starts stateless runs, all of them or none", async () => {
  const payload = (topic) => ({ assistantId: "joke", input: { topic }, on_completion: "keep" });
  const runs = await client.runs.createBatch([payload("a"), payload("b")]);
  const values = await Promise.all(runs.map((run) => client.runs.join(run.thread_id, run.run_id)));
  assert.deepEqual(values.map((value) => value.topic), ["a and cats", "b and cats"]);

  const mark = { metadata: { batch: "none" } };
  const wrong = client.runs.createBatch([{ ...payload("a"), ...mark }, { assistantId: nobody, input: {} }]);
  await refused(wrong, 404, new RegExp(`run 1: .*${nobody}`));
  await refused(client.runs.createBatch([]), 422, /at least one/);
});

test("a run on a thread that is not there makes it, if it may", async () => {
  const threadId = "0123abcd-0000-7000-8000-00000000a11e";
  const input = { topic: "a" };
  await refused(client.runs.create(threadId, "joke", { input }), 404, new RegExp(threadId));
  await refused(client.runs.create(threadId, "joke", { input, ifNotExists: "reject" }), 404, new RegExp(threadId));
  await refused(client.threads.get(threadId), 404, new RegExp(threadId));
  const events = await all(
    client.runs.stream(threadId, "joke", { input, ifNotExists: "create", metadata: { made: "by a run" } }),
  );
  assert.equal(events.at(-1).data.joke, "This is a joke about a and cats");
  assert.equal((await client.threads.get(threadId)).metadata.made, "by a run");
});

test("runs are listed and deleted", async () => {
  const thread = await newThread();
  const ids = [];
  for (const topic of ["a", "b", "c"]) {
    const run = await client.runs.create(thread, "joke", { input: { topic }, metadata: { topic } });
    assert.equal(run.metadata.topic, topic);
    assert.deepEqual(run.kwargs.input, { topic });
    await client.runs.join(thread, run.run_id);
    ids.unshift(run.run_id);
  }
  const list = async (options) => (await client.runs.list(thread, options)).map((run) => run.run_id);
  assert.deepEqual(await list(), ids, "the newest first");
  assert.deepEqual(await list({ limit: 1, offset: 1 }), [ids[1]]);
  assert.deepEqual(await list({ status: "error" }), []);
  await client.runs.delete(thread, ids[0]);
  assert.deepEqual(await list(), ids.slice(1));
  const run = await endless(thread);
  await refused(client.runs.delete(thread, run.run_id), 409, new RegExp(run.run_id));
  await client.runs.cancel(thread, run.run_id, true);
});

test("a run that is put off can be called off", async () => {
  const thread = await newThread();
  const run = await client.runs.create(thread, "joke", { input: { topic: "a" }, afterSeconds: 3600 });
  const reader = await joined((client) => client.runs.joinStream(thread, run.run_id));
  assert.equal((await client.threads.get(thread)).status, "busy");
  await client.runs.cancel(thread, run.run_id, true);
  assert.deepEqual(await all(reader), []);
  assert.equal((await client.runs.get(thread, run.run_id)).status, "interrupted");
  assert.equal((await client.threads.get(thread)).status, "idle");
});
