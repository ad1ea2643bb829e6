"use strict";

// A gateway, a line to it that can be held and cut, and a browser.

const assert = require("node:assert/strict");
const {spawn} = require("node:child_process");
const {once} = require("node:events");
const net = require("node:net");
const readline = require("node:readline");
const {chromium} = require("playwright-core");

async function startGateway(program, ...flags) {
  const child = spawn(program, ["--port", "0", ...flags], {stdio: ["ignore", "pipe", "inherit"]});
  const [line] = await once(readline.createInterface({input: child.stdout}), "line");
  return {url: line.replace("listening at ", ""), stop: () => child.kill("SIGKILL")};
}

// Passes bytes both ways. Once `hold` finds what it looks for in an answer, nothing more comes on that connection
// after that event and before release(); cut() ends the connections without a word. `requests` has what was asked.
async function startLine(url) {
  const target = new URL(url);
  const pairs = new Set();
  const line = {requests: "", hold: null};
  const server = net.createServer((client) => {
    const gateway = net.connect(Number(target.port), target.hostname);
    const pair = [client, gateway];
    pairs.add(pair);
    client.on("data", (bytes) => { line.requests += bytes; });
    client.pipe(gateway);
    gateway.on("data", (bytes) => {
      const text = bytes.toString("latin1");
      const found = line.hold === null ? -1 : text.search(line.hold);
      if (found < 0) return void client.write(bytes);
      // What follows the event may have come with it.
      const end = found + text.slice(found).search(/\r?\n\r?\n/) + 4;
      client.write(bytes.subarray(0, end));
      line.hold = null;
      gateway.pause();
      line.release = () => {
        client.write(bytes.subarray(end));
        gateway.resume();
      };
    });
    for (const socket of pair) {
      socket.on("error", () => {});
      socket.on("close", () => {
        pair.forEach((one) => one.destroy());
        pairs.delete(pair);
      });
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return Object.assign(line, {
    url: `http://127.0.0.1:${server.address().port}`,
    cut: () => pairs.forEach(([client]) => client.destroy()),
    stop: () => {
      line.cut();
      server.close();
    },
  });
}

function startBrowser(path) {
  return chromium.launch({executablePath: path, args: [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync"]});
}

// A tab of its own browser profile, or one more of `context`. What the page complains of is in `complaints`.
async function openTab(browser, url, {context, complaints, ...options} = {}) {
  context ??= await browser.newContext({locale: "en-GB", timezoneId: "UTC", viewport: {width: 1440, height: 900}, ...options});
  const tab = await context.newPage();
  tab.setDefaultTimeout(20000);
  tab.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  tab.on("pageerror", (error) => complaints.push(String(error.stack)));
  await tab.addInitScript(() => document.addEventListener("securitypolicyviolation",
    (event) => console.error(`${event.violatedDirective} forbids ${event.blockedURI}`)));
  await tab.goto(url);
  return tab;
}

async function hasStatus(tab, text) {
  await tab.waitForFunction((wanted) => document.getElementById("status").textContent.startsWith(wanted), text);
}

async function chooseGraph(tab, name, input) {
  await tab.waitForSelector("#drawing svg");
  await tab.getByLabel("Graph", {exact: true}).selectOption(name);
  await tab.waitForFunction((wanted) => document.getElementById("graph-title").textContent === `Graph ${wanted}` &&
    document.getElementById("thread").value === "", name);
  if (input !== undefined) await tab.getByLabel("Input, as JSON").fill(JSON.stringify(input));
}

const clickRun = (tab) => tab.getByRole("button", {name: "Run", exact: true}).click();

// Waits until the drawing shows a node so.
const nodeIs = (tab, name, state) => tab.waitForFunction(([title, wanted]) => [...document.querySelectorAll("g.node")]
  .some((node) => node.firstChild.textContent === title && node.classList.contains(wanted)), [name, state]);

// Waits until the state has this text for a channel.
const channelIs = (tab, name, text) => tab.waitForFunction(([channel, wanted]) =>
  document.querySelector(`[data-channel="${channel}"] pre`)?.textContent === wanted, [name, text]);

// Waits until the list has so many events, and returns all their ids.
async function eventIds(tab, least) {
  await tab.waitForFunction((count) => document.getElementById("log").children.length >= count, least);
  return tab.locator("#log li > span:first-child").allTextContents();
}

// The ids of a run of which nothing is missing and nothing came twice.
function assertWhole(ids) {
  assert.deepEqual(ids, ids.map((_, i) => String(i)));
}

module.exports = {
  assertWhole, channelIs, chooseGraph, clickRun, eventIds, hasStatus, nodeIs, openTab, startBrowser, startGateway, startLine};
