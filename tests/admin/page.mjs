// Looks at the status page in Chromium: node page.mjs URL TOKEN PID FOLDER [STORY]
// PID is the balancer's, which is stopped for a while. Screenshots go to FOLDER.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const { chromium } = createRequire(join(here, "../../.parts/"))("playwright-core");
// STORY is `many` where there are 30 nodes, one of which is at fault.
const [url, token, balancer, folder, story] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });

const browser = await chromium.launch({
  executablePath: "/usr/bin/chromium",
  args: [
    "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
    "--disable-component-update", "--disable-sync",
  ],
});

const DESK = { width: 1280, height: 800 };
const PHONE = { width: 390, height: 844 };

// A page in a window of its own; what it complains of is a fault.
async function open(viewport, colorScheme) {
  const context = await browser.newContext({ viewport, colorScheme, deviceScaleFactor: 1, locale: "en-GB" });
  const page = await context.newPage();
  const complaints = [];
  page.on("pageerror", (why) => complaints.push(String(why)));
  page.on("console", (message) => {
    const isRefusal = message.text().includes("401");
    if (message.type() === "error" && !isRefusal) complaints.push(message.text());
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(url)) complaints.push(`asks ${request.url()}`);
  });
  await page.goto(url);
  return { page, complaints };
}

async function login(page, words = token) {
  await page.locator("#login").waitFor();
  await page.keyboard.type(words);
  await page.keyboard.press("Enter");
}

const firstRow = (page) => page.locator("#rows tr").first().getAttribute("data-name");
const row = (page, name) => page.locator(`tr[data-name="${name}"]`);

// Every text's contrast against what is behind it, by WCAG 2.2; the worst first.
const contrasts = (page) => page.evaluate(() => {
  const channels = (color) => color.match(/[\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((c) => c / 255).map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = channels(getComputedStyle(at).backgroundColor);
      if (color.length < 4 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  const isText = (node) => node.nodeType === Node.TEXT_NODE && node.data.trim() !== "";
  return [...document.body.querySelectorAll("*")]
    .filter((element) => [...element.childNodes].some(isText) && element.checkVisibility())
    .map((element) => {
      const pair = [channels(getComputedStyle(element).color), behind(element)].map(luminance).sort((a, b) => b - a);
      return { text: element.textContent.trim().slice(0, 40), ratio: (pair[0] + 0.05) / (pair[1] + 0.05) };
    })
    .sort((a, b) => a.ratio - b.ratio);
});

async function isLegible(page, what) {
  const [worst] = await contrasts(page);
  assert.ok(worst.ratio >= 4.5, `${what}: ${worst.text} has a contrast of ${worst.ratio}`);
  console.log(`${what}: the least contrast is ${worst.ratio.toFixed(1)}`);
  const width = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(width <= 0, `${what}: ${width} pixels too wide`);
}

async function signsIn() {
  const { page, complaints } = await open(DESK, "light");
  await login(page, "wrong");
  await page.getByText("That isn't the token.").waitFor();
  await isLegible(page, "signing in");
  await login(page);
  await row(page, "geth-1").waitFor();
  await page.reload();
  await row(page, "geth-1").waitFor();
  assert.deepEqual(complaints, []);
  return page;
}

async function tellsTheState(page) {
  const says = async (name) => (await row(page, name).innerText()).replaceAll(/\s+/g, " ");
  assert.equal(await page.locator("#state").innerText(), "Own nodes serve, but not all is well");
  assert.match(await page.locator("#state-mark").getAttribute("class"), /warn/);
  assert.match(await page.locator("#troubles").innerText(), /^1 of 3 own nodes is not fit: geth-2\.$/);
  assert.equal(await firstRow(page), "geth-2", "who is at fault stands first");
  assert.match(await page.locator("#instance").innerText(), /^\d+\.\d+\.\d+ on \S+/);
  assert.equal(await page.locator("#failed").innerText(), "0 %");
  assert.match(await page.locator("#failed-of").innerText(), /^0 of [\d,]+$/);
  assert.match(await page.locator("#p99").innerText(), /^[\d,.]+ m?s$/);
  assert.match(await page.locator("#served").innerText(), /^21,000,\d\d\d$/);
  assert.match(await page.locator("#reference-why").innerText(), /the leader's head/);
  assert.match(await says("geth-1"), /Fit .*21,000,\d\d\d \d .* ms .* % 2$/);
  assert.match(await says("geth-2"), /Out \d\d blocks behind the reference, 10 is the most\./);
  assert.match(await says("besu-1"), /Drained It gets no calls, and none is in flight\./);
  assert.match(await says("infura"), /leader .*Fit In reserve: it gets what own nodes can't answer, and all calls when none of them is fit\./);
  const events = await page.locator("#events").innerText();
  assert.match(events, /Node geth-2 gets no more calls/);
  assert.match(events, /Node besu-1 was drained: no new calls; by 127\.0\.0\.1 with the token/);
  const line = row(page, "geth-2").locator("path.line");
  assert.ok((await line.getAttribute("d")).length > 40, "there is a line of lags");
  const label = await row(page, "geth-2").locator("svg.spark").getAttribute("aria-label");
  assert.match(label, /Lag over \d+ rounds: at most \d\d/);
  assert.match(await page.title(), /2 of 4 fit/);
}

async function followsWithoutReloading(page) {
  await page.evaluate(() => { window.isTheSame = true; });
  const headers = { authorization: `Bearer ${token}` };
  const back = await fetch(`${url}backends/besu-1/undrain`, { method: "POST", headers });
  assert.equal(back.status, 200);
  await row(page, "besu-1").getByText("Fit", { exact: true }).waitFor();
  await page.getByText(/Node besu-1 was undrained/).waitFor();
  const again = await fetch(`${url}backends/besu-1/cordon`, { method: "POST", headers });
  assert.equal(again.status, 200);
  await row(page, "besu-1").getByText("Drained", { exact: true }).waitFor();
  assert.ok(await page.evaluate(() => window.isTheSame));
}

async function worksByKeyboard(page) {
  await page.evaluate(() => document.activeElement.blur());
  const focused = () => page.evaluate(() => document.activeElement.textContent);
  await page.keyboard.press("Tab");
  assert.equal(await focused(), "Skip to the nodes");
  await page.keyboard.press("Tab");
  assert.equal(await focused(), "Pause");
  await page.keyboard.press("Enter");
  assert.equal(await focused(), "Resume");
  await page.getByText(/^Paused, as of/).waitFor();
  await page.keyboard.press("Enter");
  await page.getByText(/^Updated/).waitFor();
}

async function owesUpToItsAge(page) {
  process.kill(Number(balancer), "SIGSTOP");
  try {
    await page.getByText(/The balancer does not answer.*What you see is as of \d\d:\d\d:\d\d\./).waitFor({ timeout: 20000 });
    await isLegible(page, "stale");
    assert.match(await page.title(), /^⚠/);
    assert.ok(await page.evaluate(() => document.body.classList.contains("stale")));
  } finally {
    process.kill(Number(balancer), "SIGCONT");
  }
  await page.locator("#banner").waitFor({ state: "hidden", timeout: 20000 });
  assert.ok(!(await page.evaluate(() => document.body.classList.contains("stale"))));
}

// Thirty nodes on a phone: who is at fault is seen at once, and the rest without an hour's thumbing.
async function fitsThirtyNodesOnAPhone() {
  const { page, complaints } = await open(PHONE, "light");
  await login(page);
  await row(page, "node-30").waitFor();
  assert.equal(await page.locator("#rows tr").count(), 30);
  await row(page, "node-17").getByText("Out", { exact: true }).waitFor();
  assert.equal(await firstRow(page), "node-17");
  assert.match(await page.locator("#troubles").innerText(), /1 of 29 own nodes is not fit: node-17\./);
  await isLegible(page, "thirty nodes on a phone");
  const measured = await page.evaluate(() => {
    const rows = [...document.querySelectorAll("#rows tr")];
    const shown = rows.flatMap((row) => [...row.querySelectorAll("span, td, .note")]).filter((it) => it.checkVisibility() && it.innerText.trim() !== "");
    const cells = rows.slice(1).flatMap((row) => [...row.querySelectorAll("td")]).filter((it) => it.checkVisibility());
    return {
      top: rows[0].getBoundingClientRect().bottom + scrollY,
      height: rows.slice(1).reduce((most, row) => Math.max(most, row.getBoundingClientRect().height), 0),
      smallest: Math.min(...shown.map((it) => parseFloat(getComputedStyle(it).fontSize))),
      cut: cells.filter((it) => it.scrollWidth > it.clientWidth + 1).map((it) => it.innerText),
    };
  });
  assert.ok(measured.top <= 1.25 * PHONE.height, `the node at fault ends at ${measured.top}`);
  assert.ok(measured.height <= 90, `a node that is well takes ${measured.height} pixels`);
  assert.ok(measured.smallest >= 11, `letters of ${measured.smallest} pixels`);
  assert.deepEqual(measured.cut, [], "nothing is cut off");
  for (const name of ["node-2", "node-16", "node-30"]) {
    assert.match((await row(page, name).innerText()).replaceAll(/\s+/g, " "), /Fit 21,000,\d\d\d \d+ [\d,.]+ m?s \d+ %/);
  }
  await page.screenshot({ path: join(folder, "status-many-phone.png") });
  assert.deepEqual(complaints, []);
  await page.context().close();
}

async function shoot(name, viewport, colorScheme) {
  const { page, complaints } = await open(viewport, colorScheme);
  await login(page);
  await row(page, "geth-1").waitFor();
  await page.getByText(/^Updated/).waitFor();
  await isLegible(page, name);
  const header = await page.locator("thead").evaluate((head) => getComputedStyle(head).position);
  assert.equal(header, viewport === PHONE ? "absolute" : "static", "cards on a phone, else a table");
  await page.screenshot({ path: join(folder, `${name}.png`) });
  assert.deepEqual(complaints, []);
  await page.context().close();
}

async function all() {
  const page = await signsIn();
  await tellsTheState(page);
  await followsWithoutReloading(page);
  await worksByKeyboard(page);
  await shoot("status-light", DESK, "light");
  await shoot("status-dark", DESK, "dark");
  await shoot("status-phone", PHONE, "light");
  await owesUpToItsAge(page);
}

try {
  await (story === "many" ? fitsThirtyNodesOnAPhone() : all());
  console.log("ok");
} finally {
  await browser.close();
}
