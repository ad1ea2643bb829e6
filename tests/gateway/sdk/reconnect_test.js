// What clients see of connections that are cut in the middle of a stream.
import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";

import { Proxy } from "./proxy.js";
import { all, clientOf, data, Gateway, gateway, ids, joined, range, upTo } from "./support.js";

const client = clientOf();
const endless = { input: { n: 1_000_000, ms: 5 }, streamMode: "custom", streamResumable: true };

// Reads a stream that is cut twice, in the middle of an event for all that one knows, and ends the run once the third
// connection has had some of it.
async function readCut(t, open) {
  const { thread_id } = await client.threads.create();
  const proxy = await Proxy.to(gateway.port, [2000, 3000]);
  t.after(() => proxy.close());
  const events = [];
  const requests = [];
  proxy.onRequest = (request) => requests.push({ ...request, had: events.at(-1)?.id });
  let more = 20;
  for await (const event of await open(clientOf(proxy.url), thread_id)) {
    events.push(event);
    if (requests.length === 3 && --more === 0) {
      const [{ run_id }] = await client.runs.list(thread_id);
      await client.runs.cancel(thread_id, run_id);
    }
  }
  const [{ run_id }] = await client.runs.list(thread_id);
  const again = { request: `GET /threads/${thread_id}/runs/${run_id}/stream` };
  assert.deepEqual(
    requests.slice(1).map(({ request, lastEventId }) => ({ request, lastEventId })),
    requests.slice(1).map(({ had }) => ({ ...again, lastEventId: had })),
    "the client comes back to where it was",
  );
  assert.equal(requests.length, 3);
  assert.deepEqual(ids(events), range(0, events.length), "without gap or duplicate");
  assert.deepEqual(await all(client.runs.joinStream(thread_id, run_id, { lastEventId: "-1" })), events);
}

// Side by side, as clients wait for a while before they come back.
describe("reconnecting", { concurrency: true }, () => {
  test("who streams a resumable run misses nothing of it, cut off twice", (t) =>
    readCut(t, (cut, thread) => cut.runs.stream(thread, "slow", endless)));

  test("who joins a resumable run misses nothing of it, cut off twice", (t) =>
    readCut(t, async (cut, thread) => {
      const { run_id } = await client.runs.create(thread, "slow", endless);
      return cut.runs.joinStream(thread, run_id, { lastEventId: "-1", streamMode: "custom" });
    }));

  test("who follows a thread is told that it is cut off, and may go on from where it was", async (t) => {
    const { thread_id } = await client.threads.create();
    const proxy = await Proxy.to(gateway.port, [800, 1200]);
    t.after(() => proxy.close());
    const abort = new AbortController();
    const options = { signal: abort.signal };
    const first = await joined((cut) => cut.threads.joinStream(thread_id, options), proxy.url);
    const run = await client.runs.create(thread_id, "slow", { ...endless, input: { n: 100, ms: 1 } });

    const events = [];
    const follow = async (stream) => {
      for await (const event of stream) {
        events.push(event);
        if (event.data.status === "run_done") return;
      }
    };
    await assert.rejects(follow(first), TypeError);
    const again = () =>
      clientOf(proxy.url).threads.joinStream(thread_id, { ...options, lastEventId: events.at(-1).id });
    await assert.rejects(follow(again()), TypeError);
    await follow(again());
    abort.abort();
    assert.deepEqual(data(events, "custom"), range(0, 100).map((tick) => ({ tick })), "without gap or duplicate");
    assert.deepEqual(data(events, "metadata"), [
      { run_id: run.run_id, attempt: 1 },
      { status: "run_done", run_id: run.run_id },
    ]);
  });

  test("who streams a run that is not resumable is told that it is cut off", async (t) => {
    const { thread_id } = await client.threads.create();
    const proxy = await Proxy.to(gateway.port, [2000]);
    t.after(() => proxy.close());
    const stream = clientOf(proxy.url).runs.stream(thread_id, "slow", { ...endless, streamResumable: false });
    await assert.rejects(all(stream), TypeError);
    const [run] = await client.runs.list(thread_id);
    assert.equal(run.status, "running", "the run goes on");
    await client.runs.cancel(thread_id, run.run_id, true);
  });

  for (const how of ["killed", "stopped"]) {
    test(`who streams a run goes on with it when the gateway has been ${how} and started again`, async (t) => {
      const folder = await mkdtemp(join(tmpdir(), "weir-sdk-"));
      let second;
      t.after(async () => {
        await second?.stop();
        await rm(folder, { recursive: true });
      });
      const db = `--db=${join(folder, "runs.db")}`;
      const first = await Gateway.start("--port=0", db);
      const client = clientOf(first.url);
      const { thread_id } = await client.threads.create();
      const stream = client.runs.stream(thread_id, "steps", {
        input: { k: 120, ms: 5, tag: "A", i: 0 },
        streamMode: "updates",
        streamResumable: true,
        durability: "sync",
      });
      const events = await upTo(stream, (event) => event.data.step?.i === 20);
      await (how === "killed" ? first.kill() : first.stop());
      second = await Gateway.start(`--port=${first.port}`, db);
      events.push(...(await all(stream)));

      assert.deepEqual(ids(events), range(0, events.length), "without gap or duplicate");
      assert.deepEqual(data(events, "metadata").map((metadata) => metadata.attempt), [1, 2]);
      // The step that it was killed in may come again.
      const steps = data(events, "updates").map((update) => update.step.i);
      assert.deepEqual([...new Set(steps)], range(1, 121));
      assert.ok(steps.length <= 121);
      const { values } = await client.threads.getState(thread_id);
      assert.deepEqual(values.trail, range(0, 120).map((i) => `A${i}`));
    });
  }
});
