// The status page: asks /status every two seconds and shows what has changed. When no answer
// comes, or the balancer's own rounds stop, it says so instead of looking well.
"use strict";

const ASK_EVERY_MS = 2000;
const ASK_HIDDEN_MS = 15000;
const ANSWER_WITHIN_MS = 5000;
const STALE_AFTER_MS = 6000;
const SAMPLES = 120;
const TOKEN = "forebay-token";

const page = {
  chain: (/^#chain=([a-z0-9-]+)$/.exec(location.hash) || ["", ""])[1], // empty: the default one
  status: null,
  heardAt: 0, // by performance.now()
  failure: null,
  paused: false,
  timer: 0,
};

const byId = (id) => document.getElementById(id);
const number = new Intl.NumberFormat("en");
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });

const STATES = {
  ok: ["Own nodes serve", "good", ""],
  fallback: ["The fallback serves", "warn", "alert"],
  degraded: ["Degraded", "bad", "alert"],
  starting: ["Starting", "muted", "ring"],
  closing: ["Shutting down", "warn", "pause"],
};

const STANDINGS = {
  fit: ["Fit", "good", ""],
  benched: ["Out", "bad", "alert"],
  draining: ["Drained", "warn", "pause"],
  unproven: ["Not probed", "muted", "ring"],
};

// Who is at fault stands first, then who is asked first.
const PARTS = ["missing", "troubled", "fine"];
const BADNESS = ["bad", "warning", "good"];
const RUNGS = ["own", "leader", "fallback"];
// With more nodes than these, those that are well take less room on a phone.
const MANY = 8;

const LEVELS = { info: ["muted", "ring"], warning: ["warn", "alert"], error: ["bad", "alert"] };

// --- Asking

async function ask() {
  clearTimeout(page.timer);
  try {
    const token = sessionStorage.getItem(TOKEN);
    const headers = token ? { authorization: `Bearer ${token}` } : {};
    const of = page.chain;
    const answer = await fetch(of ? `status?chain=${encodeURIComponent(of)}` : "status", {
      headers,
      cache: "no-store",
      credentials: "omit",
      signal: AbortSignal.timeout(ANSWER_WITHIN_MS),
    });
    if (of !== page.chain) return; // Another was chosen meanwhile, and is asked for.
    if (answer.status === 401) return login(token !== null);
    if (answer.status === 404 && of) return choose("", false); // It is served no more.
    if (!answer.ok) throw new Error(`it says ${answer.status}`);
    hear(await answer.json());
  } catch (why) {
    page.failure = why.name === "TimeoutError" ? "it takes too long" : why.message;
  }
  tick();
  askLater();
}

function askLater() {
  if (page.paused) return;
  page.timer = setTimeout(ask, document.hidden ? ASK_HIDDEN_MS : ASK_EVERY_MS);
}

// Shows the chain called `name`; empty: the default one.
function choose(name, moves) {
  page.chain = name;
  history.replaceState(null, "", name ? `#chain=${name}` : location.pathname);
  if (moves) byId("summary").scrollIntoView({ block: "start" });
  ask();
}

function hear(status) {
  page.status = status;
  page.heardAt = performance.now();
  page.failure = null;
  byId("login").hidden = true;
  byId("main").hidden = false;
  show(status);
}

function login(wasWrong) {
  sessionStorage.removeItem(TOKEN);
  byId("main").hidden = true;
  byId("banner").hidden = true;
  byId("login-error").textContent = wasWrong ? "That isn't the token." : "";
  byId("age").textContent = "Not signed in";
  const form = byId("login");
  if (form.hidden) {
    form.hidden = false;
    byId("token").focus();
  }
}

// --- Showing

function text(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

function mark(element, tone, shape) {
  element.className = `mark ${tone} ${shape}`;
}

const counted = (value) => (value === null ? "–" : number.format(value));

function show(status) {
  const [words, tone, shape] = STATES[status.status] || [status.status, "warn", "ring"];
  const isAmber = status.level === "warning" && tone === "good";
  text(byId("state"), isAmber ? `${words}, but not all is well` : words);
  mark(byId("state-mark"), isAmber ? "warn" : tone, isAmber ? "alert" : shape);
  byId("state").dataset.level = status.level;
  text(byId("why"), sentence(status.why));
  showChains(status);
  showTroubles(status.troubles);
  showCalls(status.calls);
  showConfiguration(status.configuration);
  text(byId("served"), counted(status.served_head));
  const reference = status.reference;
  text(byId("reference"), counted(reference ? reference.block_number : null));
  text(byId("reference-why"), reference ? reference.why : "none is known yet");
  const id = status.chain.id === null ? "–" : String(status.chain.id);
  const isNamed = status.chains.length > 1 || status.chain.name !== "main";
  text(byId("chain"), isNamed ? status.chain.name : id);
  text(byId("chain-id"), isNamed ? `id ${id}` : "");
  text(byId("requests"), counted(status.requests_in_flight));
  showCache(status.cache);
  text(byId("version"), `Forebay ${status.version}`);
  text(byId("instance"), `${status.version} on ${status.instance}`);
  showNodes(status);
  showEvents(status.events);
  const own = status.nodes.filter((node) => node.rung === "own");
  const fit = own.filter((node) => node.standing === "fit").length;
  const isWell = status.chains.every((chain) => chain.level === "good");
  const of = isNamed ? `${status.chain.name}: ` : "";
  document.title = `${isWell ? "" : "⚠ "}${of}${fit} of ${own.length} fit · Forebay`;
}

// All chains at a glance, those in trouble first; nothing where there is one alone.
function showChains(status) {
  byId("overview").hidden = status.chains.length < 2;
  if (status.chains.length < 2) return;
  const list = byId("chains");
  const known = new Map([...list.children].map((item) => [item.dataset.name, item]));
  const inOrder = [...status.chains].sort((a, b) => BADNESS.indexOf(a.level) - BADNESS.indexOf(b.level));
  inOrder.forEach((chain, at) => {
    const item = known.get(chain.name) || newChain(chain.name);
    known.delete(chain.name);
    if (list.children[at] !== item) list.insertBefore(item, list.children[at] || null);
    showChain(item, chain, status.chain.name);
  });
  for (const gone of known.values()) gone.remove();
}

function newChain(name) {
  const item = make("li");
  item.dataset.name = name;
  const button = make("button", "", item);
  button.type = "button";
  button.addEventListener("click", () => choose(name, true));
  const first = make("span", "word", button);
  const sign = make("span", "mark", first);
  sign.setAttribute("aria-hidden", "true");
  const parts = { button, sign };
  text(make("span", "name", first), name);
  for (const part of ["fit", "head", "failed", "trouble"]) parts[part] = make("span", part, button);
  item.parts = parts;
  return item;
}

function showChain(item, chain, chosen) {
  const parts = item.parts;
  const [word, tone, shape] = STATES[chain.status] || [chain.status, "warn", "ring"];
  const isAmber = chain.level === "warning" && tone === "good";
  mark(parts.sign, isAmber ? "warn" : tone, isAmber ? "alert" : shape);
  item.className = chain.level;
  parts.button.setAttribute("aria-current", String(chain.name === chosen));
  text(parts.fit, `${chain.serving} of ${chain.own} fit`);
  text(parts.head, counted(chain.served_head));
  const share = chain.failed_share;
  text(parts.failed, share === null ? "no calls" : `${percent(share)} failed`);
  parts.failed.className = share > 0 ? "failed warn" : "failed";
  const trouble = chain.troubles[0] || (tone === "good" ? "" : word);
  parts.trouble.hidden = trouble === "";
  text(parts.trouble, trouble === "" ? "" : sentence(trouble));
}

function showTroubles(troubles) {
  const list = byId("troubles");
  const key = troubles.join("\n");
  list.hidden = troubles.length === 0;
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  list.replaceChildren(...troubles.map((trouble) => {
    const item = make("li");
    text(item, sentence(trouble));
    return item;
  }));
}

function showCalls(calls) {
  const failed = byId("failed");
  text(failed, calls.failed_share === null ? "–" : percent(calls.failed_share));
  failed.className = calls.failed > 0 ? "warn" : "";
  text(byId("failed-of"), calls.count === 0 ? "no calls" : `${number.format(calls.failed)} of ${number.format(calls.count)}`);
  text(byId("p99"), calls.p99_ms === null ? "–" : latency(calls.p99_ms));
}

function showCache(cache) {
  byId("cache-figure").hidden = !cache;
  if (!cache) return;
  const asked = cache.hits + cache.misses;
  text(byId("cache"), asked === 0 ? "–" : percent(cache.hits / asked));
  text(byId("cache-of"), `${number.format(cache.entries)} kept, of calls whose answers may be`);
}

// Few that failed are not none.
function percent(share) {
  if (share > 0 && share < 0.001) return "under 0.1 %";
  return `${(share * 100).toFixed(share > 0 && share < 0.1 ? 1 : 0)} %`;
}

// Said only where the file isn't what is in force.
function showConfiguration({ refused, waiting }) {
  const said = [];
  if (refused) said.push("The configuration's file has mistakes: what was in force before holds.");
  if (waiting.length > 0) said.push(`A restart is needed for ${waiting.join(", ")}.`);
  byId("configuration").hidden = said.length === 0;
  text(byId("configuration"), said.join(" "));
}

function sentence(words) {
  return words.charAt(0).toUpperCase() + words.slice(1) + ".";
}

function showNodes(status) {
  const rows = byId("rows");
  const known = new Map([...rows.children].map((row) => [row.dataset.name, row]));
  let place = rows.firstElementChild;
  const inOrder = [...status.nodes].sort((a, b) =>
    PARTS.indexOf(a.part) - PARTS.indexOf(b.part) || RUNGS.indexOf(a.rung) - RUNGS.indexOf(b.rung));
  byId("table").classList.toggle("many", status.nodes.length > MANY);
  for (const node of inOrder) {
    const row = known.get(node.name) || newRow(node.name);
    known.delete(node.name);
    if (row === place) place = place.nextElementSibling;
    else rows.insertBefore(row, place);
    showNode(row, node, status);
  }
  for (const gone of known.values()) gone.remove();
  byId("empty").hidden = status.nodes.length > 0;
  byId("nodes").hidden = status.nodes.length === 0;
  const minutes = Math.round((SAMPLES * status.round.interval_ms) / 60000);
  text(byId("span"), minutes > 0 ? `Lag, last ${minutes} min` : "Lag of late");
}

function make(tag, className, parent) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (parent) parent.append(element);
  return element;
}

function draw(tag, className, parent) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  if (className) element.setAttribute("class", className);
  if (parent) parent.append(element);
  return element;
}

function newRow(name) {
  const row = make("tr");
  row.dataset.name = name;
  row.setAttribute("role", "row");
  const cell = (className, label) => {
    const made = make("td", className, row);
    made.setAttribute("role", "cell");
    if (label) made.dataset.label = label;
    return made;
  };
  const parts = {};
  const who = cell("who");
  const first = make("div", "name", who);
  text(make("span", "", first), name);
  parts.rung = make("span", "tag", first);
  parts.url = make("div", "note", who);
  const says = cell("says");
  const word = make("div", "word", says);
  parts.mark = make("span", "mark", word);
  parts.mark.setAttribute("aria-hidden", "true");
  parts.word = make("span", "", word);
  parts.why = make("div", "note", says);
  parts.head = cell("number", "Head");
  parts.lag = cell("number", "Lag");
  parts.spark = newSpark(cell("late", "Lag of late"));
  parts.latency = cell("number", "Latency");
  parts.flight = cell("number", "In flight");
  const share = cell("number", "Share");
  parts.share = make("span", "", share);
  parts.meter = newMeter(share);
  parts.weight = cell("number", "Weight");
  row.parts = parts;
  return row;
}

function newSpark(cell) {
  const spark = draw("svg", "spark", cell);
  spark.setAttribute("role", "img");
  spark.setAttribute("viewBox", `0 0 ${SAMPLES - 1} 30`);
  spark.setAttribute("preserveAspectRatio", "none");
  for (const name of ["limit", "gap", "line"]) draw("path", name, spark);
  return spark;
}

function newMeter(cell) {
  const meter = draw("svg", "meter", cell);
  meter.setAttribute("viewBox", "0 0 100 4");
  meter.setAttribute("preserveAspectRatio", "none");
  meter.setAttribute("aria-hidden", "true");
  for (const name of ["all", "part"]) {
    const bar = draw("rect", name, meter);
    bar.setAttribute("width", name === "all" ? "100" : "0");
    bar.setAttribute("height", "4");
  }
  return meter;
}

function showNode(row, node, status) {
  const parts = row.parts;
  row.className = node.part;
  text(parts.rung, node.rung);
  parts.rung.hidden = node.rung === "own";
  text(parts.url, node.url);
  const [word, tone, shape] = STANDINGS[node.standing] || [node.standing, "warn", "ring"];
  const rests = node.standing === "fit" && node.reason !== null;
  text(parts.word, rests ? "Fit, resting" : word);
  parts.word.className = rests ? "warn" : tone;
  mark(parts.mark, rests ? "warn" : tone, rests ? "pause" : shape);
  text(parts.why, node.why === "fit" ? "" : sentence(node.why.replace(/^(fit,|drained:|draining:) /, "")));
  text(parts.head, counted(node.head));
  text(parts.lag, counted(node.lag));
  const isBehind = node.lag !== null && node.lag > status.lag_blocks_max;
  parts.lag.className = isBehind ? "number bad" : "number";
  showSpark(parts.spark, node, status);
  text(parts.latency, node.latency_ms === null ? "–" : latency(node.latency_ms));
  text(parts.flight, counted(node.in_flight));
  text(parts.share, node.share === null ? "–" : `${Math.round(node.share * 100)} %`);
  parts.meter.lastChild.setAttribute("width", String((node.share || 0) * 100));
  text(parts.weight, counted(node.weight));
}

function latency(ms) {
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  return ms < 10000 ? `${number.format(Math.round(ms))} ms` : `${Math.round(ms / 1000)} s`;
}

// The line of the lag, the newest at the right; where a node did not answer, a mark on the floor.
function showSpark(spark, node, status) {
  const lags = node.lags.slice(-SAMPLES);
  const told = lags.filter((lag) => lag !== null);
  const limit = status.lag_blocks_max;
  const top = Math.max(limit * 1.25, 4, ...told);
  const height = (lag) => (28 - (lag / top) * 26).toFixed(2);
  const first = SAMPLES - lags.length;
  let line = "";
  let gap = "";
  lags.forEach((lag, at) => {
    const x = first + at;
    if (lag === null) gap += `M${x - 0.5} 29H${x + 0.5}`;
    else line += `${at > 0 && lags[at - 1] !== null ? "L" : "M"}${x} ${height(lag)}${lags.length === 1 ? "h.1" : ""}`;
  });
  const shapes = { limit: `M0 ${height(limit)}H${SAMPLES - 1}`, gap, line };
  for (const path of spark.children) path.setAttribute("d", shapes[path.getAttribute("class")]);
  const silent = lags.length - told.length;
  const most = told.length > 0 ? `at most ${Math.max(...told)}` : "not known";
  const silence = silent > 0 ? `, ${silent} rounds without an answer` : "";
  spark.setAttribute("aria-label", `Lag over ${lags.length} rounds: ${most}${silence}; the limit is ${limit}`);
}

function showEvents(events) {
  const list = byId("events");
  const key = events.length === 0 ? "" : `${events.length} ${events[0].at} ${events[0].text}`;
  byId("quiet").hidden = events.length > 0;
  list.hidden = events.length === 0;
  if (list.dataset.key === key) return;
  list.dataset.key = key;
  list.replaceChildren(...events.map(newEvent));
}

function newEvent(event) {
  const item = make("li");
  const time = make("time", "", item);
  const at = new Date(event.at);
  time.dateTime = at.toISOString();
  time.dataset.at = event.at;
  time.title = at.toLocaleString();
  const words = make("span", "word", item);
  const [tone, shape] = LEVELS[event.level] || LEVELS.info;
  const sign = make("span", "", words);
  mark(sign, tone, shape);
  sign.setAttribute("aria-hidden", "true");
  text(make("span", "", words), sentence(event.text));
  return item;
}

// --- Time

function ago(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s ago`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
  return seconds < 86400 ? `${Math.floor(seconds / 3600)} h ago` : `${Math.floor(seconds / 86400)} d ago`;
}

// Once a second: how old all of this is, by the balancer's own clock.
function tick() {
  const status = page.status;
  if (status === null) {
    if (page.failure !== null && byId("login").hidden) warn(`The balancer does not answer: ${page.failure}.`, "");
    return;
  }
  if (!byId("login").hidden) return;
  const age = performance.now() - page.heardAt;
  const now = status.at + age;
  text(byId("age"), page.paused ? `Paused, as of ${ago(age)}` : `Updated ${ago(age)}`);
  for (const time of byId("events").querySelectorAll("time")) {
    const at = Number(time.dataset.at);
    const isToday = new Date(at).toDateString() === new Date(now).toDateString();
    text(time, `${isToday ? "" : `${day.format(at)}, `}${clock.format(at)} · ${ago(now - at)}`);
  }
  judge(status, age, now);
}

function judge(status, age, now) {
  const asOf = clock.format(status.at);
  const roundAge = status.round.last_at === null ? 0 : now - status.round.last_at;
  if (!page.paused && (page.failure !== null || age > STALE_AFTER_MS)) {
    const why = page.failure === null ? "" : ` (${page.failure})`;
    warn(`The balancer does not answer${why}. What you see is as of ${asOf}.`, "");
  } else if (!page.paused && roundAge > 3 * status.round.interval_ms + 5000) {
    const ended = clock.format(status.round.last_at);
    warn(`No round of probes has ended since ${ended}: the verdicts are out of date.`, "");
  } else if (page.paused && age > STALE_AFTER_MS) {
    warn(`Paused. What you see is as of ${asOf}.`, "mild");
  } else {
    byId("banner").hidden = true;
    document.body.classList.remove("stale");
  }
}

function warn(words, tone) {
  const banner = byId("banner");
  banner.className = `banner ${tone}`;
  banner.hidden = false;
  // Read aloud when its words change, so there is no age in them.
  text(banner, words);
  document.body.classList.add("stale");
  if (!document.title.startsWith("⚠")) document.title = `⚠ ${document.title}`;
}

// --- Hands

byId("pause").addEventListener("click", () => {
  page.paused = !page.paused;
  byId("pause").setAttribute("aria-pressed", String(page.paused));
  text(byId("pause"), page.paused ? "Resume" : "Pause");
  if (page.paused) clearTimeout(page.timer);
  else ask();
  tick();
});

byId("login").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(TOKEN, byId("token").value);
  byId("token").value = "";
  ask();
});

document.addEventListener("visibilitychange", () => {
  if (!document.hidden && !page.paused && byId("login").hidden) ask();
});

setInterval(tick, 1000);
ask();
