// Puts the page together: the stream of events in, the drawing out.

import { Model } from "./model.js";
import { Heatmap } from "./heatmap.js";
import { Detail, badges, facts, list } from "./detail.js";
import { Legend, Nodes, Timeline, Totals, head } from "./lists.js";
import { Orders } from "./orders.js";
import { isDark } from "./colours.js";
import { ago, byId, el, plural, segments, setText } from "./dom.js";

const MODES = [["owner", "Owner"], ["state", "State"], ["calls", "Call rate"], ["actors", "Activations"]];
const KINDS = [["news", "News"], ["plans", "Plans"], ["members", "Members"], ["orders", "Orders"]];
const RETRY_MS = 3000;

const model = new Model();
const filter = { owner: null, mark: null, entry: null, shards: null };
let tally = model.tally();
let scheduled = false;
let source = null;
let lost = null;

const orders = new Orders(model);
const heatmap = new Heatmap(byId("stage"), byId("heatmap"), byId("overlay"), byId("gutter"), model, {
  hover: tip,
  cursor: say,
  select: (selection) => detail.show(selection),
});
const detail = new Detail(byId("detail"), model, {
  close: () => {
    heatmap.select(null);
    byId("heatmap").focus();
  },
  order: (kind, first, last) => orders.shards(kind, first, last),
});
const totals = new Totals(byId("totals"), (mark) => choose({ mark }));
const legend = new Legend(byId("legend"), model, choose);
const nodes = new Nodes(byId("nodes"), model, choose, (kind, node) => orders.node(kind, node));
const timeline = new Timeline(byId("timeline"), model, showEntry);

segments(byId("modes"), MODES, "owner", (mode) => {
  heatmap.mode = mode;
  draw();
});
segments(byId("kinds"), KINDS, "news", (kind) => {
  timeline.kind = kind;
  timeline.draw();
});
byId("hold").addEventListener("click", () => { if (model.status) orders.rebalancing(); });
byId("group").addEventListener("change", (event) => {
  heatmap.group = Number(event.target.value);
  heatmap.select(null);
  draw();
});

// ---- what is shown ----------------------------------------------------------------------------

// Chooses what the map shows; what was chosen before is no longer.
function choose({ owner = null, mark = null }) {
  filter.owner = owner === filter.owner ? null : owner;
  filter.mark = mark === filter.mark ? null : mark;
  filter.entry = filter.shards = null;
  draw();
}

async function showEntry(entry) {
  if (filter.entry === entry.id) {
    filter.entry = filter.shards = null;
    return draw();
  }
  try {
    const answer = await fetch(`/api/timeline/${entry.id}`);
    const body = await answer.json();
    if (!answer.ok) return setText(byId("said"), body.error.message);
    Object.assign(filter, { owner: null, mark: null, entry: entry.id, shards: new Set(body.shards) });
    const group = Math.floor((body.shards[0] ?? 0) / model.status.shard_count);
    if (!body.shards.some((shard) => Math.floor(shard / model.status.shard_count) === heatmap.group)) {
      heatmap.group = group;
      byId("group").value = String(group);
    }
    draw();
  } catch (error) {
    setText(byId("said"), "this page's server does not answer");
  }
}

function passes() {
  if (filter.shards) return (cell) => filter.shards.has(cell.number);
  if (filter.owner !== null) return (cell) => model.liveOwner(cell) === filter.owner;
  switch (filter.mark) {
    case "at_rest": case "in_motion": case "orphan": return (cell) => cell.condition === filter.mark;
    case "pinned": return (cell) => cell.pin !== null;
    case "stuck": return (cell) => cell.stuck;
    case "without_owner": return (cell) => !cell.alive;
    default: return null;
  }
}

function chips() {
  const words = filter.owner !== null ? `owned by ${filter.owner}`
    : filter.entry !== null ? `${plural(filter.shards.size, "shard")} of an entry of the timeline`
      : filter.mark !== null ? filter.mark.replace("_", " ") : null;
  if (byId("chips").dataset.words === String(words)) return;
  byId("chips").dataset.words = String(words);
  const chip = words === null ? [] : [el("button", { type: "button", class: "chip", "aria-label": `Show all again, not only ${words}`,
    on: { click: () => choose({ owner: filter.owner, mark: filter.mark }) } }, words, el("span", { "aria-hidden": "true" }, "×"))];
  byId("chips").replaceChildren(...chip);
}

function groups() {
  const names = model.status.groups.map((group) => group.group);
  const pick = byId("group");
  if (heatmap.group >= names.length) heatmap.group = 0;
  byId("group-label").hidden = names.length < 2;
  if ([...pick.options].map((option) => option.textContent).join("\n") === names.join("\n")) return;
  pick.replaceChildren(...names.map((name, place) => el("option", { value: String(place) }, name)));
  pick.value = String(heatmap.group);
}

function draw() {
  if (!model.status || scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    tally = model.tally();
    groups();
    heatmap.passes = passes();
    heatmap.draw();
    totals.draw(tally, filter);
    legend.draw(heatmap, tally, filter);
    nodes.draw(tally, filter);
    timeline.chosen = filter.entry;
    timeline.draw();
    head(model);
    chips();
    detail.refresh();
    model.changed = new Set();
    if (heatmap.hovered !== null) tip(heatmap.hovered);
    document.body.dataset.ready = String(model.number);
  });
}

// ---- pointer, keyboard and search -------------------------------------------------------------

function tip(number) {
  const host = byId("tip");
  const cell = number === null ? null : model.cells[number];
  host.hidden = !cell;
  if (!cell) return;
  host.replaceChildren(
    el("header", {}, el("strong", {}, `Shard ${model.name(number)}`), badges(cell)),
    list(facts(model, cell)),
    el("p", {}, cell.reason || "the leader never chose a target"));
  const { x, y } = heatmap.middle(number);
  const stage = byId("stage");
  const right = x + 16 + host.offsetWidth <= stage.clientWidth ? x + 16 : x - 16 - host.offsetWidth;
  const height = host.offsetHeight;
  const room = stage.clientHeight;
  const down = Math.min(Math.max(y - height / 2, 0), Math.max(room - height, 0));
  host.style.transform = `translate(${Math.round(Math.max(right, 0))}px, ${Math.round(down)}px)`;
}

function say(number) {
  const cell = number === null ? null : model.cells[number];
  tip(cell ? number : null);
  if (!cell) return;
  const pin = cell.pin === null ? "" : `, pinned to ${cell.pin}`;
  const owner = model.liveOwner(cell) ?? "nobody";
  setText(byId("said"), `Shard ${model.name(number)}, ${cell.condition.replace("_", " ")}, owned by ${owner}${pin}`);
}

byId("heatmap").addEventListener("blur", () => tip(heatmap.hovered));

function go(number) {
  heatmap.group = Math.floor(number / model.status.shard_count);
  byId("group").value = String(heatmap.group);
  heatmap.select(number);
  draw();
}

byId("find").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = byId("find-text").value.trim();
  const answer = byId("find-answer");
  setText(answer, "");
  if (text === "" || !model.status) return;
  const number = model.parse(text);
  if (number !== null) return go(number);
  const [kind, ...key] = text.split("/");
  if (key.length === 0) return setText(answer, "no such shard");
  try {
    const query = new URLSearchParams({ kind, key: key.join("/") });
    const found = await fetch(`/api/peek?${query}`);
    const body = await found.json();
    if (!found.ok) return setText(answer, body.error.message);
    setText(answer, `lives in shard ${model.name(body.shard)}`);
    go(body.shard);
  } catch (error) {
    setText(answer, "this page's server does not answer");
  }
});

document.addEventListener("keydown", (event) => {
  const typing = event.target.closest("input, select, textarea, dialog");
  if (event.key === "/" && !typing) {
    event.preventDefault();
    byId("find-text").focus();
  }
});

// ---- theme ------------------------------------------------------------------------------------

byId("theme").addEventListener("click", () => {
  document.documentElement.dataset.theme = isDark() ? "light" : "dark";
  try { localStorage.setItem("theme", document.documentElement.dataset.theme); } catch { /* only for this time */ }
  draw();
});
try {
  const theme = localStorage.getItem("theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch { /* as the system has it */ }
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

// ---- the stream -------------------------------------------------------------------------------

function state() {
  const banner = byId("banner");
  const age = model.atMs ? `The picture is from ${ago(lost ?? model.trouble?.since_ms ?? model.atMs)}.` : "There is no picture yet.";
  const live = byId("live");
  if (lost !== null) {
    live.dataset.state = "lost";
    setText(live, "disconnected");
    setText(byId("banner-title"), "This page has lost its server.");
    setText(byId("banner-text"), `${age} It tries again by itself.`);
  } else if (model.trouble) {
    live.dataset.state = "stale";
    setText(live, "stale");
    setText(byId("banner-title"), "The node cannot be asked.");
    setText(byId("banner-text"), `${age} ${model.trouble.error}.`);
  } else if (model.status) {
    live.dataset.state = "live";
    setText(live, "live");
  }
  banner.hidden = lost === null && !model.trouble;
  document.body.classList.toggle("stale", !banner.hidden);
  const note = model.loadsError;
  byId("modes").title = note ? `Call rates and activations are old or missing: ${note}` : "";
}

function connect() {
  source = new EventSource("/api/events");
  const heard = (take) => (event) => {
    lost = null;
    take(JSON.parse(event.data));
    state();
    draw();
  };
  source.addEventListener("snapshot", heard((message) => model.snapshot(message)));
  source.addEventListener("delta", heard((message) => {
    model.delta(message);
    heatmap.flash(model.changed);
  }));
  source.addEventListener("trouble", heard((message) => { model.trouble = message; }));
  source.addEventListener("open", () => {
    lost = null;
    state();
  });
  source.addEventListener("error", () => {
    lost ??= model.atMs;
    state();
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, RETRY_MS);
  });
}

setInterval(state, 1000);
connect();
