// What the documentation of the Agent Server shows, as it shows it.
import assert from "node:assert/strict";
import { test } from "node:test";

import { Client } from "@langchain/langgraph-sdk";

import { gateway } from "./support.js";

const assistantID = "joke";
const joke = { topic: "ice cream and cats", joke: "This is a joke about ice cream and cats" };

test("a thread is created, and a run's updates are streamed", async () => {
  const client = new Client({ apiUrl: gateway.url });

  const thread = await client.threads.create();
  const threadID = thread["thread_id"];

  const chunks = [];
  const streamResponse = client.runs.stream(threadID, assistantID, {
    input: { topic: "ice cream" },
    streamMode: "updates",
  });
  for await (const chunk of streamResponse) {
    chunks.push(chunk);
  }

  const [{ run_id }] = await client.runs.list(threadID);
  assert.deepEqual(chunks, [
    { id: "0", event: "metadata", data: { run_id, attempt: 1 } },
    { id: "1", event: "updates", data: { refine_topic: { topic: "ice cream and cats" } } },
    { id: "2", event: "updates", data: { generate_joke: { joke: "This is a joke about ice cream and cats" } } },
  ]);
});

test("a run in the background is joined by another client, and waited for", async () => {
  const client = new Client({ apiUrl: gateway.url });
  const thread = await client.threads.create();
  const run = await client.runs.create(thread["thread_id"], assistantID, {
    input: { topic: "ice cream" },
    streamMode: "updates",
    streamResumable: true,
  });
  assert.equal(run.status, "pending");

  const other = new Client({ apiUrl: gateway.url });
  const chunks = [];
  for await (const chunk of other.runs.joinStream(thread["thread_id"], run["run_id"], { lastEventId: "-1" })) {
    chunks.push(chunk.data);
  }
  assert.deepEqual(chunks, [
    { run_id: run.run_id, attempt: 1 },
    { refine_topic: { topic: joke.topic } },
    { generate_joke: { joke: joke.joke } },
  ]);

  assert.deepEqual(await other.runs.join(thread["thread_id"], run["run_id"]), joke);
  assert.equal((await client.runs.get(thread["thread_id"], run["run_id"])).status, "success");
  const state = await client.threads.getState(thread["thread_id"]);
  assert.deepEqual(state.values, joke);
});

test("a reader that joins a run without a buffer gets what comes from then on", async () => {
  const client = new Client({ apiUrl: gateway.url });
  const thread = await client.threads.create();
  const run = await client.runs.create(thread["thread_id"], "slow", {
    input: { n: 100000, ms: 2 },
    streamMode: "custom",
  });

  const other = new Client({ apiUrl: gateway.url });
  const ids = [];
  for await (const chunk of other.runs.joinStream(thread["thread_id"], run["run_id"])) {
    ids.push(Number(chunk.id));
    if (ids.length === 5) await client.runs.cancel(thread["thread_id"], run["run_id"]);
  }
  assert.ok(ids.length >= 5);
  ids.forEach((id, i) => assert.equal(id, ids[0] + i));
});
