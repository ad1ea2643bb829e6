"use strict";

// node page_test.js PROGRAM BROWSER [IMAGES]: what the page does, in a browser. Pictures of it go to the folder IMAGES.

const assert = require("node:assert/strict");
const fs = require("node:fs");
const os = require("node:os");
const path = require("node:path");
const {after, afterEach, before, beforeEach, test} = require("node:test");
const {assertWhole, channelIs, chooseGraph, clickRun, eventIds, hasStatus, nodeIs, openTab, startBrowser, startGateway,
  startLine} = require("./support.js");

const [, , program, browserPath, images] = process.argv;
let gateway;
let browser;
let complaints;

before(async () => {
  gateway = await startGateway(program);
  browser = await startBrowser(browserPath);
});
after(async () => {
  await browser?.close();
  gateway?.stop();
});
beforeEach(() => { complaints = []; });
afterEach(async () => {
  await Promise.all(browser.contexts().map((context) => context.close()));
  assert.deepEqual(complaints, []);
});

const open = (url = gateway.url, options = {}) => openTab(browser, url, {complaints, ...options});

async function picture(tab, name, chosen) {
  if (!images) return;
  await tab.locator("#log li", {hasText: chosen}).click();
  await tab.screenshot({path: path.join(images, `${name}.png`), fullPage: true});
}

test("a run is started and watched", async () => {
  const tab = await open();
  await chooseGraph(tab, "joke", {topic: "rain"});
  await clickRun(tab);
  await hasStatus(tab, "Done");
  await channelIs(tab, "joke", '"This is a joke about rain and cats"');
  await nodeIs(tab, "refine_topic", "done");
  await nodeIs(tab, "generate_joke", "done");
  assertWhole(await eventIds(tab, 5));
  assert.match(new URL(tab.url()).hash, /^#thread=[0-9a-f-]{36}&run=[0-9a-f-]{36}$/);

  const shown = tab.locator("#log li:visible");
  const all = await shown.count();
  await tab.getByLabel("updates", {exact: true}).uncheck();
  assert.equal(await shown.count(), all - 2);
  await tab.locator("#log li", {hasText: "generate_joke started"}).click();
  assert.match(await tab.locator("#data").textContent(), /"name": "generate_joke"/);
});

test("an inner graph is drawn and marked", async () => {
  const tab = await open();
  await chooseGraph(tab, "parent");
  await clickRun(tab);
  await hasStatus(tab, "Done");
  await nodeIs(tab, "child", "done");
  await nodeIs(tab, "inner_2", "done");
});

test("a second tab joins a run that is going, and cancels it", async () => {
  const tab = await open();
  await chooseGraph(tab, "slow", {n: 100000, ms: 20});
  await clickRun(tab);
  await nodeIs(tab, "ticker", "active");
  await eventIds(tab, 12);

  const second = await open(tab.url(), {context: tab.context()});
  await hasStatus(second, "Running");
  await nodeIs(second, "ticker", "active");
  assertWhole(await eventIds(second, 16));
  await hasStatus(tab, "Running");
  assert.equal(await second.getByLabel("Graph", {exact: true}).locator("option:checked").textContent(), "slow");

  await second.getByRole("button", {name: "Cancel"}).click();
  await Promise.all([hasStatus(tab, "Cancelled"), hasStatus(second, "Cancelled")]);
  assert.deepEqual(await eventIds(second, 16), await eventIds(tab, 16));
});

test("a run of the list is shown from its beginning", async () => {
  const tab = await open();
  await chooseGraph(tab, "joke");
  await clickRun(tab);
  await hasStatus(tab, "Done");
  await tab.waitForFunction(() => document.querySelectorAll("#runs button").length === 1);
  await tab.getByLabel("Input, as JSON").fill('{"topic": "fog"}');
  await clickRun(tab);
  await channelIs(tab, "topic", '"fog and cats"');
  await hasStatus(tab, "Done");
  await tab.waitForFunction(() => document.querySelectorAll("#runs button").length === 2);
  await tab.locator("#runs button").last().click();
  await tab.waitForFunction(() => /ice cream and cats/.test(document.getElementById("log").textContent));
  await hasStatus(tab, "Done");
  assertWhole(await eventIds(tab, 5));
});

test("a cut connection is taken up where it was", async () => {
  const line = await startLine(gateway.url);
  try {
    const tab = await open(line.url);
    await chooseGraph(tab, "slow", {n: 60, ms: 20});
    await clickRun(tab);
    await eventIds(tab, 12);
    line.requests = "";
    line.cut();
    await hasStatus(tab, "Done");
    const ids = await eventIds(tab, 60);
    assertWhole(ids);
    const [, last] = /last-event-id: (\d+)/.exec(line.requests);
    assert(Number(last) >= 10 && Number(last) < ids.length, last);
  } finally {
    line.stop();
  }
  // The browser tells of the cut; nothing else may be told.
  complaints = complaints.filter((text) => !/net::ERR_/.test(text));
});

test("a run goes on after its gateway was killed and started again", async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "weir-page-"));
  const kept = ["--db", path.join(folder, "runs.db")];
  let durable = await startGateway(program, ...kept);
  try {
    const tab = await open(durable.url);
    await chooseGraph(tab, "steps", {k: 40, ms: 20, tag: "A"});
    await clickRun(tab);
    await eventIds(tab, 20);
    durable.stop();
    await hasStatus(tab, "The connection was cut");
    durable = await startGateway(program, ...kept, "--port", new URL(durable.url).port);
    await hasStatus(tab, "Done");
    await channelIs(tab, "i", "40");
    assertWhole(await eventIds(tab, 200));
    assert.equal(await tab.locator("#log li > span:nth-child(2)", {hasText: "metadata"}).count(), 2);
  } finally {
    durable.stop();
    fs.rmSync(folder, {recursive: true});
  }
  complaints = complaints.filter((text) => !/net::ERR_/.test(text));
});

test("a question is answered", async () => {
  const tab = await open();
  await chooseGraph(tab, "ask", {question: "Shall it rain?"});
  await clickRun(tab);
  await hasStatus(tab, "Waiting for an answer");
  await nodeIs(tab, "human", "asked");
  const form = tab.getByRole("form", {name: "Question of human"});
  assert.match(await form.textContent(), /"ask": "Shall it rain\?"/);
  await form.getByLabel("Answer", {exact: true}).fill("only at night");
  await picture(tab, "page_interrupt", "human asks");

  await form.getByLabel("The answer is").selectOption("JSON");
  await form.getByRole("button", {name: "Answer"}).click();
  assert.match(await form.getByRole("alert").textContent(), /^Not JSON/);
  await form.getByLabel("The answer is").selectOption("Text");
  await form.getByRole("button", {name: "Answer"}).click();
  await hasStatus(tab, "Done");
  await channelIs(tab, "answer", '"only at night"');
  assert.equal(await form.count(), 0);
});

test("of several questions one is answered by its id", async () => {
  const tab = await open();
  await chooseGraph(tab, "joke");
  // No graph of the program asks twice at once.
  const tasks = ["left", "right"].map((name, i) => ({id: name, name, interrupts: [{id: String(i).repeat(32), value: name}]}));
  await tab.route("**/history", (route) => route.fulfill({json: [{
    values: {}, next: ["left", "right"], tasks, metadata: {source: "loop", step: 1}, created_at: "2026-01-01T00:00:00Z",
    checkpoint: {checkpoint_id: "1"}, parent_checkpoint: null}]}));
  await clickRun(tab);
  await hasStatus(tab, "Waiting for an answer");
  const form = tab.getByRole("form", {name: "Question of right"});
  await form.getByLabel("Answer", {exact: true}).fill('{"go": true}');
  await form.getByLabel("The answer is").selectOption("JSON");
  const run = new URLSearchParams(new URL(tab.url()).hash.slice(1));
  await tab.route("**/runs/stream", (route) => route.fulfill({
    headers: {"content-location": `/threads/${run.get("thread")}/runs/${run.get("run")}`}, body: ""}));
  const [request] = await Promise.all([
    tab.waitForRequest("**/runs/stream"), form.getByRole("button", {name: "Answer"}).click()]);
  assert.deepEqual(request.postDataJSON().command, {resume: {["1".repeat(32)]: {go: true}}});
  await hasStatus(tab, "Waiting for an answer");
});

test("the checkpoints are gone through, and a run goes on from one", async () => {
  const tab = await open();
  await chooseGraph(tab, "steps", {k: 4, ms: 0, tag: "A"});
  await clickRun(tab);
  await hasStatus(tab, "Done");
  await channelIs(tab, "i", "4");
  const scrub = tab.getByRole("slider", {name: "Checkpoints"});
  await scrub.focus();
  await tab.keyboard.press("ArrowLeft");
  await channelIs(tab, "i", "3");
  await tab.keyboard.press("ArrowLeft");
  await channelIs(tab, "i", "2");
  await nodeIs(tab, "step", "due");
  assert.equal(await tab.locator("#which").textContent(), "at checkpoint 4 of 6");
  assert.match(await tab.locator("#at").textContent(), /Next\s*step/);

  await tab.getByRole("button", {name: "Run from here"}).click();
  await hasStatus(tab, "Done");
  await channelIs(tab, "i", "4");
  assert.match(await tab.locator("#place").textContent(), /^(\d+) of \1$/);
  assert.equal(await tab.locator("#log li", {hasText: "step started"}).count(), 2);
});

test("a failure is told", async () => {
  const tab = await open();
  await chooseGraph(tab, "boom");
  await clickRun(tab);
  await hasStatus(tab, "Failed: ");
  assert.match(await tab.locator("#status").textContent(), /Boo!/);
  await nodeIs(tab, "ok", "done");
  await nodeIs(tab, "bad", "failed");

  await tab.getByLabel("Input, as JSON").fill("{");
  await clickRun(tab);
  assert.match(await tab.locator("#input-error").textContent(), /^Not JSON/);
});

test("what comes from outside is text", async () => {
  const tab = await open();
  const evil = "<img src=x onerror=alert(1)><script>alert(2)</script>";
  await chooseGraph(tab, "ask", {question: evil});
  await clickRun(tab);
  await hasStatus(tab, "Waiting for an answer");
  await channelIs(tab, "question", JSON.stringify(evil));
  assert.equal(await tab.locator("img").count(), 0);
  assert.equal(await tab.locator("script").count(), 1);
});

test("large integers stay as they are", async () => {
  const tab = await open();
  await chooseGraph(tab, "steps");
  await tab.getByLabel("Input, as JSON").fill('{"k": 0, "ms": 9007199254740993, "tag": ""}');
  await clickRun(tab);
  await hasStatus(tab, "Done");
  await channelIs(tab, "ms", "9007199254740993");
});

test("the newest thousand events are kept", async () => {
  const tab = await open();
  await chooseGraph(tab, "slow", {n: 1500, ms: 0});
  await clickRun(tab);
  await hasStatus(tab, "Done");
  const ids = await eventIds(tab, 1000);
  assert.equal(ids.length, 1000);
  assert.equal(Number(ids.at(-1)) - Number(ids[0]), 999);
  assert(Number(ids.at(-1)) > 1500);
});

test("all is done with the keyboard alone", async () => {
  const tab = await open();
  await tab.waitForSelector("#drawing svg");
  const focus = async (id, keys = 30) => {
    for (let i = 0; i < keys; ++i) {
      await tab.keyboard.press("Tab");
      if (await tab.evaluate((wanted) => document.activeElement.id === wanted, id)) return;
    }
    assert.fail(`Tab does not reach ${id}`);
  };
  await focus("graph-name", 1);
  await tab.keyboard.type("joke");
  await tab.waitForFunction(() => document.getElementById("graph-title").textContent === "Graph joke");
  await focus("run", 4);
  const outline = await tab.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
  assert.equal(outline, "solid");
  await tab.keyboard.press("Enter");
  await hasStatus(tab, "Done");
  await focus("scrub");
  await tab.keyboard.press("Home");
  await tab.waitForFunction(() => document.getElementById("place").textContent.startsWith("1 of "));
  await focus("log");
  await tab.keyboard.press("ArrowDown");
  await tab.keyboard.press("ArrowDown");
  assert.match(await tab.locator("#data").textContent(), /^checkpoints {2}1\n/);
  assert.equal(await tab.locator('#log [aria-selected="true"]').getAttribute("id"),
    await tab.locator("#log").getAttribute("aria-activedescendant"));
});

test("a key is asked for, and stays in memory", async () => {
  const locked = await startGateway(program, "--api_key", "open sesame");
  try {
    const tab = await open(locked.url);
    for (const key of ["a wrong one", "open sesame"]) {
      await tab.getByLabel("API key").fill(key);
      await tab.getByRole("button", {name: "Use"}).click();
    }
    await chooseGraph(tab, "joke");
    await clickRun(tab);
    await hasStatus(tab, "Done");
    const kept = await tab.evaluate(() => [localStorage.length, sessionStorage.length, document.cookie]);
    assert.deepEqual(kept, [0, 0, ""]);
  } finally {
    locked.stop();
  }
  complaints = complaints.filter((text) => !/status of 401/.test(text));
});

test("it is light and dark, and fits a narrow window", async () => {
  const backgrounds = new Set();
  for (const colorScheme of ["light", "dark"]) {
    const line = await startLine(gateway.url);
    try {
      const tab = await open(line.url, {colorScheme});
      await chooseGraph(tab, "fan");
      // The picture is of the moment when one node is left.
      line.hold = /"name": "middle", "result"/;
      await clickRun(tab);
      await nodeIs(tab, "middle", "done");
      await nodeIs(tab, "slowest", "active");
      await picture(tab, `page_${colorScheme}`, "fastest finished");
      line.release();
      await hasStatus(tab, "Done");
      backgrounds.add(await tab.evaluate(() => getComputedStyle(document.body).backgroundColor));
      await tab.setViewportSize({width: 360, height: 740});
      assert.equal(await tab.evaluate(() => document.documentElement.scrollWidth), 360);
    } finally {
      line.stop();
    }
  }
  assert.equal(backgrounds.size, 2);
});
