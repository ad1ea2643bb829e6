// Threads, and their states.
import assert from "node:assert/strict";
import { test } from "node:test";

import { all, clientOf, Gateway, named, nobody, refused, upTo } from "./support.js";

const client = clientOf();
const joke = (topic) => ({ topic: `${topic} and cats`, joke: `This is a joke about ${topic} and cats` });

// A thread that has made a joke.
async function jokingThread(topic = "a", metadata = {}) {
  const { thread_id } = await client.threads.create({ metadata });
  await client.runs.wait(thread_id, "joke", { input: { topic } });
  return thread_id;
}

test("threads are created, changed and deleted", async () => {
  const made = await client.threads.create({ metadata: { a: 1, of: { nested: [true, null] } } });
  assert.equal(made.status, "idle");
  assert.deepEqual(made.metadata, { a: 1, of: { nested: [true, null] } });
  assert.match(made.thread_id, /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.match(made.created_at, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
  assert.deepEqual((await client.threads.get(made.thread_id)).metadata, made.metadata);

  const changed = await client.threads.update(made.thread_id, { metadata: { c: "3" } });
  assert.deepEqual(changed.metadata, { ...made.metadata, c: "3" });

  const again = { threadId: made.thread_id, metadata: { other: 1 } };
  await refused(client.threads.create(again), 409, new RegExp(made.thread_id));
  const same = await client.threads.create({ ...again, ifExists: "do_nothing" });
  assert.deepEqual(same.metadata, changed.metadata);
  await refused(client.threads.create({ threadId: "not-a-uuid" }), 422, /not-a-uuid/);
  await refused(client.threads.update(nobody, { metadata: {} }), 404, new RegExp(nobody));

  await client.threads.delete(made.thread_id);
  const gone = new RegExp(made.thread_id);
  await refused(client.threads.get(made.thread_id), 404, gone);
  await refused(client.threads.delete(made.thread_id), 404, gone);
  await refused(client.threads.getState(made.thread_id), 404, gone);
  await refused(client.threads.getHistory(made.thread_id), 404, gone);
});

test("a thread is deleted with the run that goes on there", async () => {
  const { thread_id } = await client.threads.create();
  const stream = client.runs.stream(thread_id, "slow", { input: { n: 1_000_000, ms: 1 }, streamMode: "custom" });
  await upTo(stream, named("custom"));
  await client.threads.delete(thread_id);
  await all(stream);
  await refused(client.threads.get(thread_id), 404, new RegExp(thread_id));
});

test("threads are found by what they have, and counted", async () => {
  const owner = `of test ${process.pid}`;
  const mine = { metadata: { owner } };
  const first = await jokingThread("a", { owner, n: 1 });
  const second = await jokingThread("b", { owner, n: 2 });
  const { thread_id: asking } = await client.threads.create(mine);
  await client.runs.wait(asking, "ask", { input: { question: "ok?" } });
  const { thread_id: failed } = await client.threads.create(mine);
  await client.runs.wait(failed, "boom", { input: { x: "in" }, raiseError: false });

  const search = async (query) => (await client.threads.search(query)).map((thread) => thread.thread_id);
  assert.deepEqual(await search(mine), [failed, asking, second, first], "the newest first");
  assert.deepEqual(await search({ ...mine, sortBy: "created_at", sortOrder: "asc", limit: 2 }), [first, second]);
  assert.deepEqual(await search({ ...mine, limit: 2, offset: 1 }), [asking, second]);
  assert.deepEqual(await search({ metadata: { owner, n: 2 } }), [second]);
  assert.deepEqual(await search({ ...mine, values: joke("b") }), [second]);
  assert.deepEqual(await search({ ...mine, status: "interrupted" }), [asking]);
  assert.deepEqual(await search({ ...mine, status: "error" }), [failed]);
  assert.deepEqual(await search({ ids: [first, nobody] }), [first]);
  assert.equal(await client.threads.count(mine), 4);
  assert.equal(await client.threads.count({ ...mine, status: "idle" }), 2);
  assert.equal(await client.threads.count({ metadata: { owner: "nobody" } }), 0);
  await refused(client.threads.search({ limit: 1001 }), 422, /limit/);
  await refused(client.threads.search({ status: "bogus" }), 422, /bogus/);

  const [found] = await client.threads.search({ ids: [second] });
  assert.deepEqual(found.values, joke("b"));
  assert.equal(found.metadata.graph_id, "joke");
});

test("a copy has the state and the history, and goes its own way", async () => {
  const thread = await jokingThread("a", { of: "it" });
  const copy = await client.threads.copy(thread);
  assert.notEqual(copy.thread_id, thread);
  assert.equal(copy.metadata.of, "it");
  const values = async (id) => (await client.threads.getHistory(id)).map((state) => state.values);
  assert.deepEqual(await values(copy.thread_id), await values(thread));
  await client.runs.wait(copy.thread_id, "joke", { input: { topic: "b" } });
  assert.deepEqual((await client.threads.getState(copy.thread_id)).values, joke("b"));
  assert.deepEqual((await client.threads.getState(thread)).values, joke("a"));
  await assert.rejects(client.threads.copy(nobody), (error) => [404, 409].includes(error.status));
});

test("a thread that has not run has no state", async () => {
  const { thread_id } = await client.threads.create();
  const state = await client.threads.getState(thread_id);
  assert.deepEqual([state.values, state.next, state.tasks, state.checkpoint], [{}, [], [], null]);
  assert.deepEqual(await client.threads.getHistory(thread_id), []);
  await refused(client.threads.updateState(thread_id, { values: { topic: "x" } }), 409, new RegExp(thread_id));
});

test("a thread's state and history tell of each step", async () => {
  const thread = await jokingThread();
  const state = await client.threads.getState(thread);
  assert.deepEqual([state.values, state.next, state.tasks], [joke("a"), [], []]);
  assert.deepEqual([state.metadata.source, state.metadata.step], ["loop", 2]);
  assert.equal(state.checkpoint.thread_id, thread);
  assert.equal(state.checkpoint.checkpoint_ns, "");

  const history = await client.threads.getHistory(thread);
  assert.deepEqual(
    history.map(({ values, next, metadata: { step, source } }) => ({ values, next, step, source })),
    [
      { values: joke("a"), next: [], step: 2, source: "loop" },
      { values: { topic: "a and cats" }, next: ["generate_joke"], step: 1, source: "loop" },
      { values: { topic: "a" }, next: ["refine_topic"], step: 0, source: "loop" },
      { values: {}, next: ["__start__"], step: -1, source: "input" },
    ],
  );
  history.slice(1).forEach((parent, i) => {
    assert.equal(history[i].parent_checkpoint.checkpoint_id, parent.checkpoint.checkpoint_id);
  });
  const before = { configurable: { checkpoint_id: history[1].checkpoint.checkpoint_id } };
  assert.deepEqual(await client.threads.getHistory(thread, { before, limit: 1 }), [history[2]]);
  assert.deepEqual(await client.threads.getHistory(thread, { metadata: { step: 1 } }), [history[1]]);

  // By a checkpoint, or by its id.
  assert.deepEqual(await client.threads.getState(thread, history[1].checkpoint), history[1]);
  assert.deepEqual(await client.threads.getState(thread, history[1].checkpoint.checkpoint_id), history[1]);
  await refused(client.threads.getState(thread, nobody), 404, new RegExp(thread));
});

test("a run starts from an earlier checkpoint", async () => {
  const thread = await jokingThread();
  const [, middle] = await client.threads.getHistory(thread);
  const events = await all(
    client.runs.stream(thread, "joke", { input: null, checkpoint: middle.checkpoint, streamMode: "updates" }),
  );
  assert.deepEqual(events.slice(1).map((event) => event.data), [{ generate_joke: { joke: joke("a").joke } }]);
  const byId = await client.runs.wait(thread, "joke", { input: null, checkpointId: middle.checkpoint.checkpoint_id });
  assert.deepEqual(byId, joke("a"));
});

test("a person changes a thread's state, and runs go on from it", async () => {
  const thread = await jokingThread();
  const [, middle] = await client.threads.getHistory(thread);
  const dogs = { values: { topic: "dogs" }, asNode: "refine_topic" };
  const { checkpoint } = await client.threads.updateState(thread, dogs);
  assert.equal(checkpoint.thread_id, thread);
  const state = await client.threads.getState(thread);
  assert.equal(state.checkpoint.checkpoint_id, checkpoint.checkpoint_id);
  assert.deepEqual([state.values.topic, state.next, state.metadata.source], ["dogs", ["generate_joke"], "update"]);
  assert.deepEqual(await client.runs.wait(thread, "joke", { input: null }), {
    topic: "dogs",
    joke: "This is a joke about dogs",
  });

  // From an earlier state.
  await client.threads.updateState(thread, { values: { topic: "birds" }, checkpoint: middle.checkpoint });
  const fork = await client.threads.getState(thread);
  assert.deepEqual(fork.values, { topic: "birds" });
  assert.equal(fork.parent_checkpoint.checkpoint_id, middle.checkpoint.checkpoint_id);
  await refused(client.threads.updateState(thread, { values: { topic: "x" }, asNode: "nobody" }), 422, /nobody/);
  await refused(client.threads.updateState(thread, { values: { topic: 7 } }), 422, /topic/);
});

test("while a run goes on, the state can be read but not changed", async () => {
  const { thread_id } = await client.threads.create();
  const stream = client.runs.stream(thread_id, "steps", {
    input: { k: 9000, ms: 1, tag: "A", i: 0 },
    streamMode: "values",
  });
  await upTo(stream, (event) => event.data.trail?.length === 3);
  const { values } = await client.threads.getState(thread_id);
  assert.ok(values.trail.length >= 3);
  assert.equal((await client.threads.get(thread_id)).status, "busy");
  assert.deepEqual((await client.threads.update(thread_id, { metadata: { a: 1 } })).metadata.a, 1);
  await refused(client.threads.updateState(thread_id, { values: { tag: "B" } }), 409, new RegExp(thread_id));
  const [{ run_id }] = await client.runs.list(thread_id);
  await client.runs.cancel(thread_id, run_id, true);
  await all(stream);
});

test("a thread is made with a history", async () => {
  const { thread_id } = await client.threads.create({
    graphId: "joke",
    supersteps: [
      { updates: [{ values: { topic: "a" }, asNode: "__start__" }] },
      { updates: [{ values: { topic: "birds" }, asNode: "refine_topic" }] },
    ],
  });
  const state = await client.threads.getState(thread_id);
  assert.deepEqual([state.values, state.next], [{ topic: "birds" }, ["generate_joke"]]);
  const values = await client.runs.wait(thread_id, "joke", { input: null });
  assert.equal(values.joke, "This is a joke about birds");

  const empty = await client.threads.create({ graphId: "joke" });
  assert.equal(empty.metadata.graph_id, "joke");
  await client.threads.updateState(empty.thread_id, { values: { topic: "dogs" }, asNode: "refine_topic" });
  assert.deepEqual((await client.threads.getState(empty.thread_id)).next, ["generate_joke"]);
});

test("a subgraph's state is part of its thread's", async () => {
  const { thread_id } = await client.threads.create();
  await all(
    client.runs.stream(thread_id, "parent", {
      input: { foo: "x" },
      interruptBefore: ["child"],
    }),
  );
  const { next, tasks } = await client.threads.getState(thread_id, undefined, { subgraphs: true });
  assert.deepEqual([next, tasks.map((task) => task.name)], [["child"], ["child"]]);
});

test("graphs are assistants", async () => {
  const found = await client.assistants.search({ limit: 100 });
  const names = found.map((assistant) => assistant.graph_id).toSorted();
  assert.deepEqual(names, ["ask", "boom", "chat", "fan", "joke", "parent", "slow", "steps"]);
  const joking = found.find((assistant) => assistant.graph_id === "joke");
  assert.deepEqual(await client.assistants.get(joking.assistant_id), joking);
  const values = await client.runs.wait(null, joking.assistant_id, { input: { topic: "a" } });
  assert.deepEqual(values, joke("a"));
  const graph = await client.assistants.getGraph(joking.assistant_id);
  assert.deepEqual(
    graph.nodes.map((node) => node.id).toSorted(),
    ["__end__", "__start__", "generate_joke", "refine_topic"],
  );
  assert.deepEqual(
    graph.edges.map((edge) => `${edge.source} ${edge.target}`).toSorted(),
    ["__start__ refine_topic", "generate_joke __end__", "refine_topic generate_joke"],
  );
  await refused(client.assistants.get(nobody), 404, new RegExp(nobody));
});

test("a gateway that has a key wants it", async (t) => {
  const guarded = await Gateway.start("--port=0", "--api_key=secret");
  t.after(() => guarded.stop());
  await refused(clientOf(guarded.url).threads.create(), 401, /x-api-key/);
  await refused(clientOf(guarded.url, { apiKey: "Secret" }).threads.create(), 401, /x-api-key/);
  assert.equal((await clientOf(guarded.url, { apiKey: "secret" }).threads.create()).status, "idle");
});
