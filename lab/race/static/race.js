// The page: two selects and a button for the race, one select and a button for the half answer.

import { Pane, seconds } from "./pane.js";
import { read } from "./reply.js";

const find = (id) => document.getElementById(id);
const calm = matchMedia("(prefers-reduced-motion: reduce)");
// Milliseconds between two pictures where the reader wants little motion.
const CALM_EVERY = 500;

const timed = { timed: true };
const panes = {
  clean: new Pane("clean", "Streamed, clean path", timed),
  held: new Pane("held", "Streamed, held back", timed),
  batch: new Pane("batch", "Batch", timed),
  naive: new Pane("naive", "Unhandled", { timed: false }),
  handled: new Pane("handled", "Handled", { timed: false }),
};
const racing = [panes.clean, panes.held, panes.batch];
const dying = [panes.naive, panes.handled];

// Whether the panes lie beside each other, as in the style sheet.
const wide = () => matchMedia("(min-width: 46rem)").matches;

let offered = null;
let frozen = false;
let freeze = null;

// ---- what is chosen

const pair = () => offered.pairs[find("pair").value];
const crash = () => offered.crashes[find("crash").value];

function fill(select, options) {
  select.replaceChildren(...options.map(([value, text]) => new Option(text, value)));
}

function choosePairs() {
  const those = offered.pairs.map((one, index) => [index, one]).filter(([, one]) => one.proxy === find("proxy").value);
  fill(find("pair"), those.map(([index, one]) => [index, one.title]));
  showPair();
}

function showPair() {
  const { shows, broken, fixed } = pair();
  panes.clean.heading("Streamed, clean path", fixed);
  panes.held.heading(`Streamed, ${shows}`, broken);
  panes.batch.heading("Batch", fixed);
  racing.forEach((pane) => pane.reset());
  find("clock").textContent = "0.0";
  const { tokens, first, interval, seconds: length } = pair().plan;
  find("race").classList.toggle("long", tokens > 20);
  racing.forEach((pane) => pane.goal(1000 * length, scale()));
  find("sum").textContent =
    `The model writes ${tokens} tokens: the first after ${first} s, then one every ${interval} s, ` +
    `the last after ${length.toFixed(1)} s.`;
}

function showCrash() {
  panes.naive.heading("Unhandled", crash().route);
  panes.handled.heading("Handled", crash().route);
  dying.forEach((pane) => pane.reset());
  find("dying-lead").textContent =
    `The model server dies after token ${offered.diesAfter} of ${crash().plan.tokens}. ` +
    "One reply, read by two programs.";
}

// ---- the clock and the painting

// Milliseconds that a bar stands for: the answer, and some room for a path that takes longer.
const scale = () => 1000 * pair().plan.seconds * 1.12;

function keepPainting(those, onTick, length) {
  let last = -Infinity;
  let going = true;
  const tick = (now) => {
    if (!going || frozen) return;
    if (!calm.matches || now - last >= CALM_EVERY) {
      last = now;
      onTick(now);
      those.forEach((pane) => pane.paint(now, length));
      if (freeze?.()) frozen = true;
    }
    requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
  return (at) => {
    going = false;
    onTick(at);
    those.forEach((pane) => pane.paint(at, length));
  };
}

const say = (text) => { find("status").textContent = text; };

function busy(button, yes) {
  // Not disabled: that would throw the keyboard's focus away.
  button.setAttribute("aria-disabled", String(yes));
  for (const select of button.closest("form").querySelectorAll("select")) select.disabled = yes;
}

// A name under which the server keeps its verdict; randomUUID is there on loopback and with https only.
const newRun = () => crypto.randomUUID?.() ?? String(Math.random()).slice(2);

// ---- the race

async function run(pane, kind, route) {
  const seen = await read(kind, { run: newRun(), route }, (text, at) => pane.token(text, at));
  const at = performance.now();
  if (seen.whole && seen.clean) pane.finish(at, pane.delivery === "token by token" ? "whole" : "late", pane.delivery);
  else pane.finish(at, "broken", seen.tokens ? `${seen.clean ? "half" : "cut"}, ${seen.tokens} tokens` : "no answer");
  return seen;
}

async function race() {
  if (find("race").dataset.state === "running") return;
  find("race").dataset.state = "running";
  busy(find("start"), true);
  find("start").textContent = "Racing";
  const { broken, fixed } = pair();
  const start = performance.now();
  racing.forEach((pane) => pane.start(start));
  if (!wide()) find("race").querySelector(".panes").scrollIntoView();
  say("The race has started.");
  const stop = keepPainting(racing, (now) => {
    find("clock").textContent = Math.max(0, (now - start) / 1000).toFixed(1);
  }, scale());
  await Promise.all([
    run(panes.clean, "streamed", fixed.key),
    run(panes.held, "streamed", broken.key),
    run(panes.batch, "batch", fixed.key),
  ]);
  if (frozen) return;
  stop(Math.max(...racing.map((pane) => pane.end)));
  const told = (read) => racing.map((pane) => read(pane)).join(", ");
  const sum = `Total: ${told((pane) => seconds(pane.end - start))}. ` +
    `First token: ${told((pane) => (pane.first === null ? "none" : seconds(pane.first - start)))}.`;
  find("sum").textContent = sum;
  say(sum);
  busy(find("start"), false);
  find("start").textContent = "Race again";
  find("race").dataset.state = "finished";
}

// ---- half an answer

function outcome(pane, sign, headline, detail, button) {
  const box = pane.part(".outcome");
  const lead = document.createElement("p");
  const strong = document.createElement("strong");
  strong.textContent = headline;
  lead.append(`${sign} `, strong);
  const more = document.createElement("p");
  more.textContent = detail;
  box.replaceChildren(lead, more, ...(button ? [button] : []));
  box.hidden = false;
}

async function readTwice(kind, route, those) {
  const id = newRun();
  const seen = await read(kind, { run: id, route }, (text, at) => those.forEach((pane) => pane.token(text, at)));
  const reply = await fetch(`/verdict/${id}`);
  const none = { kind: "failed", reason: "no reply", tokens: 0, detail: seen.detail };
  return { seen, verdict: reply.ok ? await reply.json() : none };
}

async function die() {
  if (find("dying").dataset.state === "running") return;
  find("dying").dataset.state = "running";
  busy(find("die"), true);
  find("die").textContent = "Dying";
  const start = performance.now();
  dying.forEach((pane) => pane.start(start));
  const stop = keepPainting(dying, () => {}, 1);
  const { seen, verdict } = await readTwice("crash", crash().route.key, dying);
  tellNaive(seen);
  tellHandled(verdict);
  stop(performance.now());
  say(`Unhandled: shown as complete. Handled: ${verdict.kind}, ${verdict.reason}.`);
  busy(find("die"), false);
  find("die").textContent = "Let it die again";
  find("dying").dataset.state = "finished";
}

// What a careless program tells its user: it takes whatever stops the stream for the end.
function tellNaive(seen) {
  panes.naive.finish(performance.now(), "forged", "✓ done");
  const stopped = seen.clean ? "The stream ended, and no error came" : `It swallowed the error (${seen.detail})`;
  outcome(panes.naive, "✓", "Answer complete", `${stopped}, so ${seen.tokens} tokens pass for the whole answer.`);
}

// What the lab's consumer, in Python on the page's server, made of the same bytes.
function tellHandled(verdict) {
  const whole = verdict.kind === "complete";
  panes.handled.finish(performance.now(), whole ? "whole" : "partial", whole ? "✓ complete" : "▲ incomplete");
  if (whole) {
    outcome(panes.handled, "✓", "Answer complete", `${verdict.tokens} tokens, finish reason ${verdict.reason}, marker.`);
    return;
  }
  const again = document.createElement("button");
  again.type = "button";
  again.textContent = "Ask again";
  again.addEventListener("click", askAgain);
  const more = verdict.retry ? `, retry ${verdict.retry}` : "";
  const detail = `${verdict.tokens} tokens came: ${verdict.detail}. (lab.consume: ${verdict.kind}, ${verdict.reason}${more})`;
  outcome(panes.handled, "▲", "This answer is incomplete", detail, again);
}

async function askAgain(event) {
  const button = event.currentTarget;
  if (find("dying").dataset.state === "running") return;
  find("dying").dataset.state = "running";
  busy(find("die"), true);
  button.textContent = "Asking again";
  panes.handled.text = [];
  panes.handled.say("reading", "asking again");
  const stop = keepPainting([panes.handled], () => {}, 1);
  const { verdict } = await readTwice("again", crash().route.key, [panes.handled]);
  find("die").focus();
  tellHandled(verdict);
  stop(performance.now());
  say(`Handled, asked again: ${verdict.kind}.`);
  busy(find("die"), false);
  find("dying").dataset.state = "finished";
}

// ---- the start

function listen() {
  find("proxy").addEventListener("change", choosePairs);
  find("pair").addEventListener("change", showPair);
  find("crash").addEventListener("change", showCrash);
  find("start").addEventListener("click", race);
  find("die").addEventListener("click", die);
  addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      race();
    }
  });
  for (const form of document.forms) form.addEventListener("submit", (event) => event.preventDefault());
}

async function begin() {
  offered = await (await fetch("/races")).json();
  const proxies = [...new Set(offered.pairs.map((one) => one.proxy))];
  fill(find("proxy"), proxies.map((proxy) => [proxy, proxy === "direct" ? "none" : proxy]));
  fill(find("crash"), offered.crashes.map((one, index) => [index, `${one.route.title}: ${one.title}`]));
  for (const details of document.querySelectorAll("details.config")) details.open = wide();
  choosePairs();
  showCrash();
  listen();
  document.body.dataset.state = "ready";
}

// For pictures: stop painting as soon as that pane has so many tokens. What is shown then stays.
window.freezeAt = (name, tokens) => new Promise((done) => {
  freeze = () => {
    const reached = panes[name].text.length >= tokens;
    if (reached) requestAnimationFrame(() => done(true));
    return reached;
  };
});

try {
  await begin();
} catch (error) {
  document.body.dataset.state = "failed";
  find("sum").textContent = `What can be raced did not come: ${error.message}. Reload this page while lab race runs.`;
}
