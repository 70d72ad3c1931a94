// Shows what /_busframe/ tells, once a second, and asks it to send, purge and redrive.
// Whatever comes from a queue is put into the page as text (textContent), never as markup.
"use strict";

const POLL_MS = 1000;
const PAGE = 50;
const PREVIEW_CHARACTERS = 160;
const TOKEN = "busframe-control-token";

const $ = (id) => document.getElementById(id);
const state = { queues: [], clock: null, limit: PAGE, route: { view: "queues" }, refreshing: false, again: false };

// --- asking ---------------------------------------------------------------------------------------------------------

class Refused extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

async function ask(path, body) {
  const headers = {};
  const token = sessionStorage.getItem(TOKEN);
  if (token) headers.Authorization = `Bearer ${token}`;
  const options = { headers, cache: "no-store", signal: AbortSignal.timeout(10000) };
  if (body !== undefined) {
    options.method = "POST";
    options.body = JSON.stringify(body);
  }
  const response = await fetch(path, options);
  const text = await response.text();
  let document_ = {};
  try {
    document_ = text ? JSON.parse(text) : {};
  } catch {
    document_ = { error: text };
  }
  if (!response.ok) throw new Refused(response.status, document_.message || document_.error || `Status ${response.status}`);
  return document_;
}

const act = (queue, action, input) =>
  ask(`/_busframe/actions/${action}?${new URLSearchParams({ region: queue.region, account: queue.account })}`, input);

// --- making elements --------------------------------------------------------------------------------------------------

function make(tag, options = {}, ...children) {
  const element = document.createElement(tag);
  if (options.class) element.className = options.class;
  if (options.href) element.href = options.href;
  if (options.title) element.title = options.title;
  if (options.text !== undefined) element.textContent = options.text;
  element.append(...children);
  return element;
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function toggleClass(element, name, on) {
  if (element.classList.contains(name) !== on) element.classList.toggle(name, on);
}

// --- words ------------------------------------------------------------------------------------------------------------

const numbers = new Intl.NumberFormat("en");

function duration(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  if (whole < 60) return `${whole} s`;
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const first = units.findIndex(([, size]) => whole >= size);
  const [name, size] = units[first];
  const [below, belowSize] = units[first + 1] || ["", 0];
  const rest = belowSize ? Math.floor((whole % size) / belowSize) : 0;
  return `${Math.floor(whole / size)} ${name}${rest ? ` ${rest} ${below}` : ""}`;
}

const moment = (seconds) => new Date(seconds * 1000).toISOString().replace("T", " ").replace(/\.(\d{3})Z$/, ".$1 UTC");

function pretty(body) {
  const first = body.trimStart()[0];
  if (first !== "{" && first !== "[") return body;
  try {
    const parsed = JSON.parse(body);
    // Numbers a double cannot hold would be shown wrongly; then the text as it was sent is the better view.
    return /\d{16}/.test(body) ? body : JSON.stringify(parsed, null, 2);
  } catch {
    return body;
  }
}

const routeOf = (queue) => `#/${[queue.region, queue.account, queue.name].map(encodeURIComponent).join("/")}`;

// --- the table of queues ----------------------------------------------------------------------------------------------

const rows = new Map();

function deadLetters(queue) {
  const target = queue.dead_letter_target;
  if (!target) return null;
  return state.queues.find((other) => other.arn === target.arn) || null;
}

const depth = (queue) => queue.visible + queue.in_flight + queue.delayed;

function newRow(queue) {
  const link = make("a", { href: routeOf(queue), text: queue.name });
  const first = make("td", {}, link);
  if (queue.fifo) first.append(make("span", { class: "tag", text: "FIFO" }));
  const dead = make("span", { class: "tag dlq", text: "dead letters" });
  const scope = make("small");
  first.append(dead, scope);
  const cells = Array.from({ length: 6 }, () => make("td", { class: "number" }));
  const row = make("tr", {}, first, ...cells);
  row.addEventListener("click", (event) => {
    if (!event.target.closest("a") && !String(getSelection())) location.hash = routeOf(queue);
  });
  return { row, cells, dead, scope };
}

function showQueues() {
  const wanted = $("filter").value.trim().toLowerCase();
  const shown = state.queues.filter((queue) => queue.name.toLowerCase().includes(wanted));
  const scopes = new Set(state.queues.map((queue) => `${queue.region}/${queue.account}`));
  const body = $("queue-table").tBodies[0];
  shown.forEach((queue, index) => {
    const entry = rows.get(queue.arn) || newRow(queue);
    rows.set(queue.arn, entry);
    entry.dead.hidden = !queue.dead_letter_sources.length;
    entry.dead.title = `of ${queue.dead_letter_sources.join(", ")}`;
    setText(entry.scope, scopes.size > 1 ? `${queue.region} · ${queue.account}` : "");
    const target = deadLetters(queue);
    const values = [queue.visible, queue.in_flight, queue.delayed, target ? depth(target) : null];
    values.forEach((value, column) => {
      const cell = entry.cells[column];
      setText(cell, value === null ? "–" : numbers.format(value));
      toggleClass(cell, "zero", !value);
    });
    toggleClass(entry.cells[3], "dead", Boolean(values[3]));
    setText(entry.cells[4], queue.oldest_age_s === null ? "–" : duration(queue.oldest_age_s));
    toggleClass(entry.cells[4], "zero", queue.oldest_age_s === null);
    setText(entry.cells[5], numbers.format(queue.waiting_receivers));
    toggleClass(entry.cells[5], "zero", !queue.waiting_receivers);
    // Moving a row that is where it should be would take the focus from it.
    if (body.rows[index] !== entry.row) body.insertBefore(entry.row, body.rows[index] || null);
  });
  while (body.rows.length > shown.length) body.lastElementChild.remove();
  const there = new Set(state.queues.map((queue) => queue.arn));
  for (const arn of rows.keys()) if (!there.has(arn)) rows.delete(arn);
  setText($("queue-count"), state.queues.length ? numbers.format(state.queues.length) : "");
  $("queue-card").hidden = !state.queues.length;
  $("empty").hidden = state.queues.length > 0;
  $("filter").hidden = state.queues.length < 2;
  $("no-match").hidden = shown.length > 0;
}

function showHints() {
  const url = location.origin;
  $("hint-environment").textContent =
    `export AWS_ENDPOINT_URL_SQS=${url}\nexport AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1\nexport AWS_ACCESS_KEY_ID=x AWS_SECRET_ACCESS_KEY=x`;
  $("hint-cli").textContent = `aws --endpoint-url ${url} sqs create-queue --queue-name orders`;
  $("hint-boto3").textContent =
    `boto3.client("sqs", endpoint_url="${url}", region_name="us-east-1",\n             aws_access_key_id="x", aws_secret_access_key="x").create_queue(QueueName="orders")`;
}

// --- one queue --------------------------------------------------------------------------------------------------------

const items = new Map();

const currentQueue = () =>
  state.queues.find(
    (queue) =>
      queue.region === state.route.region && queue.account === state.route.account && queue.name === state.route.name,
  );

function showQueue(queue) {
  setText($("queue-name"), queue.name);
  const facts = [queue.arn];
  if (queue.fifo) facts.push("FIFO");
  if (queue.dead_letter_target) {
    const { name, max_receive_count: count } = queue.dead_letter_target;
    facts.push(`after ${count} ${count === 1 ? "receive" : "receives"} to ${name}`);
  }
  if (queue.dead_letter_sources.length) facts.push(`dead letters of ${queue.dead_letter_sources.join(", ")}`);
  if ($("queue-facts").textContent !== facts.join("")) {
    $("queue-facts").replaceChildren(...facts.map((fact) => make("span", { text: fact })));
  }
  const target = deadLetters(queue);
  const tiles = [
    ["Visible", numbers.format(queue.visible)],
    ["In flight", numbers.format(queue.in_flight)],
    ["Delayed", numbers.format(queue.delayed)],
    ["Dead letters", target ? numbers.format(depth(target)) : "–"],
    ["Oldest", queue.oldest_age_s === null ? "–" : duration(queue.oldest_age_s)],
    ["Waiting receivers", numbers.format(queue.waiting_receivers)],
  ];
  const list = $("tiles");
  if (!list.children.length) list.append(...tiles.map(([name]) => make("div", {}, make("dt", { text: name }), make("dd"))));
  tiles.forEach(([, value], index) => setText(list.children[index].lastElementChild, value));
  toggleClass(list.children[3].lastElementChild, "dead", Boolean(target && depth(target)));
  $("redrive").hidden = !queue.dead_letter_sources.length;
  for (const field of document.querySelectorAll("[data-for]")) field.hidden = (field.dataset.for === "fifo") !== queue.fifo;
  $("send-group").required = queue.fifo;
}

function newItem(message) {
  const tag = make("span", { class: "tag" });
  const when = make("span", { class: "when" });
  const preview = message.body.slice(0, PREVIEW_CHARACTERS).replace(/\s+/g, " ");
  const summary = make("summary", {}, tag, make("span", { class: "preview mono", text: preview }), when);
  const details = make("details", {}, summary);
  const pairs = make("dl", { class: "pairs" });
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) {
      details.append(make("div", { class: "inside" }, make("pre", {}, make("code", { text: pretty(message.body) })), pairs));
    }
  });
  return { item: make("li", {}, details), tag, when, pairs };
}

// A group may have 128 characters; all of them are among the facts below.
const shortened = (text) => (text.length > 24 ? `${text.slice(0, 23)}…` : text);

function describe(message, now) {
  const facts = [
    ["Message id", message.message_id],
    ["Sent", `${moment(message.sent_s)} (${duration(now - message.sent_s)} ago)`],
    ["Received", message.receive_count === 1 ? "once" : `${message.receive_count} times`],
  ];
  if (message.due_s !== null) facts.push(["Visible in", duration(message.due_s - now)]);
  facts.push(["Expires in", duration(message.expires_s - now)], ["Size", `${numbers.format(new Blob([message.body]).size)} bytes`]);
  const optional = [
    ["Message group", message.group], ["Deduplication id", message.deduplication_id],
    ["Sequence number", message.sequence], ["Dead letter of", message.dead_letter_source],
    ["Trace header", message.trace_header], ["Sender", message.sender],
  ];
  facts.push(...optional.filter(([, value]) => value !== null));
  for (const [name, { type, value }] of Object.entries(message.attributes)) facts.push([name, `${value} (${type})`]);
  return facts;
}

const STATES = { visible: ["visible", "tag visible"], delayed: ["delayed", "tag delayed"], in_flight: ["in flight", "tag flight"] };

function showMessages({ messages, next }, now) {
  const list = $("messages");
  messages.forEach((message, index) => {
    const entry = items.get(message.message_id) || newItem(message);
    items.set(message.message_id, entry);
    const [word, look] = STATES[message.state];
    setText(entry.tag, word);
    if (entry.tag.className !== look) entry.tag.className = look;
    const due = message.due_s === null ? "" : ` · visible in ${duration(message.due_s - now)}`;
    const received = message.receive_count ? ` · received ${message.receive_count}×` : "";
    const group = message.group === null ? "" : `group ${shortened(message.group)} · `;
    setText(entry.when, `${group}${duration(now - message.sent_s)} old${received}${due}`);
    const facts = describe(message, now);
    if (entry.pairs.children.length !== facts.length * 2) {
      entry.pairs.replaceChildren(...facts.flatMap(([name]) => [make("dt", { text: name }), make("dd")]));
    }
    facts.forEach(([, value], place) => setText(entry.pairs.children[place * 2 + 1], String(value)));
    if (list.children[index] !== entry.item) list.insertBefore(entry.item, list.children[index] || null);
  });
  while (list.children.length > messages.length) list.lastElementChild.remove();
  const there = new Set(messages.map((message) => message.message_id));
  for (const id of items.keys()) if (!there.has(id)) items.delete(id);
  $("more").hidden = next === null || state.limit >= 1000;
  setText($("shown"), next === null ? "" : `the first ${numbers.format(messages.length)}`);
  $("no-messages").hidden = messages.length > 0;
}

// --- doing ------------------------------------------------------------------------------------------------------------

function say(text, bad = false) {
  $("done").textContent = text;
  $("done").className = bad ? "done bad" : "done";
}

async function attempt(done, work) {
  try {
    await work();
    say(done);
    return true;
  } catch (error) {
    say(error.message, true);
    return false;
  } finally {
    refresh();
  }
}

function confirmed(title, text, yes) {
  $("confirm-title").textContent = title;
  $("confirm-text").textContent = text;
  $("confirm-yes").textContent = yes;
  const dialog = $("confirm");
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

async function send(event) {
  event.preventDefault();
  const queue = currentQueue();
  if (!queue) return;
  const input = { QueueUrl: queue.url, MessageBody: $("send-body").value };
  if (!queue.fifo && $("send-delay").value) input.DelaySeconds = Number($("send-delay").value);
  if ($("send-group").value) input.MessageGroupId = $("send-group").value;
  if (queue.fifo && $("send-deduplication").value) input.MessageDeduplicationId = $("send-deduplication").value;
  if (await attempt("Sent.", () => act(queue, "SendMessage", input))) {
    $("send-body").value = "";
    $("send-body").focus();
  }
}

async function purge() {
  const queue = currentQueue();
  if (!queue) return;
  const text = "All its messages go, those in flight and delayed included. This cannot be undone.";
  if (await confirmed(`Purge ${queue.name}?`, text, "Purge")) {
    await attempt("Purged.", () => act(queue, "PurgeQueue", { QueueUrl: queue.url }));
  }
}

async function redrive() {
  const queue = currentQueue();
  if (!queue) return;
  const text = "Its messages go back to the queues they came from.";
  if (await confirmed(`Redrive ${queue.name}?`, text, "Redrive")) {
    await attempt("Redrive started.", () => act(queue, "StartMessageMoveTask", { SourceArn: queue.arn }));
  }
}

function toggleSend(open) {
  $("send").hidden = !open;
  (open ? $("send-body") : $("open-send")).focus();
}

// --- keeping up -------------------------------------------------------------------------------------------------------

function readRoute() {
  let parts = [];
  try {
    parts = location.hash.replace(/^#\/?/, "").split("/").filter(Boolean).map(decodeURIComponent);
  } catch {
    parts = [];
  }
  const [region, account, name] = parts;
  state.route = parts.length === 3 ? { view: "queue", region, account, name } : { view: "queues" };
  state.limit = PAGE;
  items.clear();
  $("messages").replaceChildren();
  $("send").hidden = true;
  say("");
  document.title = name ? `${name} · Busframe` : "Busframe · queues";
}

function showView(view) {
  for (const id of ["queues", "queue", "token"]) $(id).hidden = id !== view;
}

function warn(text) {
  $("alert").textContent = text;
  $("alert").hidden = !text;
}

function showLive(on) {
  $("live").className = on ? "live on" : "live off";
  setText($("live"), on ? "live" : "not answering");
}

function showClock() {
  const { now_s: now, mode, offset_s: offset } = state.clock;
  const moved = Math.abs(offset) >= 1 ? `, ${duration(Math.abs(offset))} ${offset > 0 ? "ahead" : "behind"}` : "";
  setText($("clock"), `${moment(now).slice(11, 19)} UTC${mode === "manual" ? ", stopped" : ""}${moved}`);
}

async function refresh() {
  if (state.refreshing) {
    state.again = true;
    return;
  }
  state.refreshing = true;
  try {
    await update();
    showLive(true);
  } catch (error) {
    if (error.status === 401) {
      showView("token");
      warn(sessionStorage.getItem(TOKEN) ? "That is not the token." : "");
      showLive(true);
    } else {
      warn(error.status ? error.message : "");
      showLive(false);
    }
  } finally {
    state.refreshing = false;
  }
  if (state.again) {
    state.again = false;
    await refresh();
  }
}

async function update() {
  const seen = await ask("/_busframe/queues");
  state.queues = seen.queues;
  state.clock = seen.clock;
  showClock();
  const route = state.route;
  if (route.view === "queues") {
    warn("");
    showView("queues");
    showQueues();
    return;
  }
  const queue = currentQueue();
  if (!queue) {
    warn(`There is no queue ${route.name} in ${route.region}.`);
    state.route = { view: "queues" };
    showView("queues");
    showQueues();
    return;
  }
  const parameters = new URLSearchParams({ region: route.region, limit: state.limit });
  const path = `/_busframe/queues/${encodeURIComponent(route.account)}/${encodeURIComponent(route.name)}/messages`;
  const page = await ask(`${path}?${parameters}`);
  if (state.route !== route) return;
  warn("");
  showQueue(queue);
  showMessages(page, state.clock.now_s);
  showView("queue");
}

async function poll() {
  const begun = performance.now();
  if (!document.hidden && $("token").hidden) await refresh();
  // With thousands of queues an answer takes its time, and whoever is being tested should have most of it.
  setTimeout(poll, Math.max(POLL_MS, 10 * (performance.now() - begun)));
}

window.addEventListener("hashchange", () => {
  readRoute();
  scrollTo(0, 0);
  refresh().then(() => $("main").focus({ preventScroll: true }));
});
document.addEventListener("visibilitychange", () => document.hidden || refresh());
$("filter").addEventListener("input", showQueues);
$("send").addEventListener("submit", send);
$("open-send").addEventListener("click", () => toggleSend($("send").hidden));
$("close-send").addEventListener("click", () => toggleSend(false));
$("purge").addEventListener("click", purge);
$("redrive").addEventListener("click", redrive);
$("more").addEventListener("click", () => {
  state.limit = Math.min(1000, state.limit * 2);
  refresh();
});
$("token").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(TOKEN, $("token-text").value);
  $("token-text").value = "";
  refresh();
});

showHints();
readRoute();
poll();
