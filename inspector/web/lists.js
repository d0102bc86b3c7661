// Totals, legend, nodes and timeline.

import { colours } from "./colours.js";
import { ago, byId, clock, count, el, moment, plural, rate, setText } from "./dom.js";
import { paint } from "./heatmap.js";

const TOTALS = [
  ["shards", "Shards", null, "all shards of all groups"],
  ["owned", "Owned", null, "with a live owner"],
  ["in_motion", "In motion", "in_motion", "on their way to another owner, or to their first"],
  ["without_owner", "Without owner", "without_owner", "all that are not owned"],
  ["orphans", "Orphans", "orphan", "without a live owner, on their way to nobody"],
  ["pinned", "Pinned", "pinned", "by an operator, wherever they are"],
  ["stuck", "Stuck", "stuck", "the leader found that they wait for too long"],
  ["calls", "Calls/s", null, "answered a second, as nodes last reported"],
  ["actors", "Actors", null, "in memory, as nodes last reported"],
];
const ALARMS = new Set(["orphans", "stuck"]);
const ENTRIES_SHOWN = 200;

export class Totals {
  constructor(host, choose) {
    this.tiles = new Map();
    for (const [key, label, filter, title] of TOTALS) {
      const value = el("strong", { data: { total: key } }, "–");
      const options = { class: "tile", title, data: { tile: key } };
      const tile = filter
        ? el("button", { ...options, type: "button", "aria-pressed": "false", on: { click: () => choose(filter) } },
          value, el("span", {}, label))
        : el("div", options, value, el("span", {}, label));
      this.tiles.set(key, { tile, value, filter });
      host.append(tile);
    }
  }

  draw(tally, filter) {
    for (const [key, { tile, value, filter: own }] of this.tiles) {
      const number = tally[key];
      setText(value, key === "calls" ? rate(number) : count(number));
      value.dataset.value = String(number);
      tile.classList.toggle("alarm", ALARMS.has(key) && number > 0);
      tile.classList.toggle("none", number === 0);
      if (own) tile.setAttribute("aria-pressed", String(filter.mark === own));
    }
  }
}

// A sample of a cell, drawn as on the map.
function sample(look, palette) {
  const density = window.devicePixelRatio || 1;
  const canvas = el("canvas", { width: 14 * density, height: 14 * density, "aria-hidden": "true" });
  paint(canvas.getContext("2d"), 0, 0, 14 * density, look, palette);
  return canvas;
}

export class Legend {
  constructor(host, model, choose) {
    Object.assign(this, { host, model, choose });
    this.shown = "";
  }

  draw(heatmap, tally, filter) {
    const palette = colours();
    const owners = this.model.owners.map((node, place) => ({
      key: `owner-${node}`, label: node, number: tally.byOwner.get(node)?.shards ?? 0,
      look: { fill: palette.owner(place) }, on: filter.owner === node, choose: { owner: node },
    }));
    const mark = (key, label, number, look) => ({
      key, label, number, look, on: filter.mark === key, choose: { mark: key },
    });
    const marks = [
      mark("in_motion", "in motion", tally.in_motion, heatmap.mode === "owner"
        ? { fill: palette.owner(0), second: palette.owner(1) } : { fill: palette.motion }),
      mark("pinned", "pinned", tally.pinned, { fill: palette.rest, pinned: true }),
      mark("orphan", "orphan", tally.orphans, { orphan: true }),
      mark("stuck", "stuck", tally.stuck, { fill: palette.rest, stuck: true }),
    ];
    const isLoad = heatmap.mode === "calls" || heatmap.mode === "actors";
    const entries = [
      ...(heatmap.mode === "owner" ? owners : []),
      ...(heatmap.mode === "state" ? [mark("at_rest", "at rest",
        tally.shards - tally.in_motion - tally.orphans, { fill: palette.rest })] : []),
      ...marks.filter((entry) => !isLoad || entry.key !== "in_motion"),
    ];
    // Elements that stay the same keep the focus.
    const shape = JSON.stringify([heatmap.mode, palette.rest, entries.map((entry) => entry.key)]);
    if (shape !== this.shown) {
      this.shown = shape;
      this.host.replaceChildren(...(isLoad ? [this.scale(heatmap, palette)] : []), ...entries.map((entry) =>
        el("button", { type: "button", class: "entry", data: { legend: entry.key },
          on: { click: () => this.choose(entry.choose) } },
        sample(entry.look, palette), el("span", {}, entry.label), el("b", {}))));
    }
    if (isLoad) setText(this.host.querySelector(".most"), this.most(heatmap));
    for (const entry of entries) {
      const button = [...this.host.querySelectorAll("[data-legend]")]
        .find((found) => found.dataset.legend === entry.key);
      setText(button.querySelector("b"), count(entry.number));
      button.dataset.value = String(entry.number);
      button.setAttribute("aria-pressed", String(entry.on));
    }
  }

  scale(heatmap, palette) {
    const density = window.devicePixelRatio || 1;
    const canvas = el("canvas", { class: "ramp", width: 160 * density, height: 12 * density, "aria-hidden": "true" });
    const context = canvas.getContext("2d");
    const gradient = context.createLinearGradient(0, 0, canvas.width, 0);
    palette.ramp.forEach((colour, at) => gradient.addColorStop(at / (palette.ramp.length - 1), colour));
    context.fillStyle = gradient;
    context.fillRect(0, 0, canvas.width, canvas.height);
    return el("span", { class: "scale" }, "0", canvas, el("span", { class: "most" }, this.most(heatmap)),
      el("i", {}, "equal steps multiply"));
  }

  most(heatmap) {
    const what = heatmap.mode === "calls" ? "calls a second" : "actors in memory";
    return `${rate(heatmap.most[heatmap.mode])} ${what}`;
  }
}

export class Nodes {
  constructor(body, model, choose, order) {
    Object.assign(this, { body, model, choose, order });
    this.rows = new Map();
  }

  draw(tally, filter) {
    const palette = colours();
    const status = this.model.status;
    const unknown = status.unknown_nodes.map((node) => ({
      ...node, state: "unknown", owned: 0, leaving: 0, weight: null, zone: null, version: null,
    }));
    const nodes = [...status.nodes, ...unknown];
    const most = Math.max(1, ...nodes.map((node) => Math.max(node.owned, node.targeted)));
    for (const [name, row] of this.rows) {
      if (!nodes.some((node) => node.node === name)) {
        row.remove();
        this.rows.delete(name);
      }
    }
    nodes.forEach((node, place) => {
      let row = this.rows.get(node.node);
      if (!row) {
        row = this.row(node.node);
        this.rows.set(node.node, row);
      }
      if (this.body.children[place] !== row) this.body.insertBefore(row, this.body.children[place] ?? null);
      this.fill(row, node, tally.byOwner.get(node.node), most, palette, filter);
    });
  }

  row(name) {
    const field = (key, kind) => el("td", { class: kind, data: { field: key } });
    const button = (kind, text) => el("button", { type: "button", class: "quiet small", data: { order: kind },
      on: { click: () => this.order(kind, name) } }, text);
    return el("tr", { data: { node: name } },
      el("th", { scope: "row" }, el("button", { type: "button", class: "plain", title: "Show only its shards",
        on: { click: () => this.choose({ owner: name }) } },
      el("span", { class: "swatch" }), el("span", { class: "name" }, name), el("span", { class: "badge lead" }, "leads"))),
      field("state", ""),
      el("td", { class: "wide" }, el("span", { class: "bar" }, el("span", { class: "fill" }), el("span", { class: "goal" }))),
      ...["owned", "targeted", "arriving", "leaving", "calls", "actors", "weight"].map((key) => field(key, "number")),
      field("zone", ""), field("version", ""),
      el("td", { class: "actions" }, button("drain", "Drain…"), button("undrain", "End drain…")));
  }

  fill(row, node, load, most, palette, filter) {
    const set = (key, text) => {
      const cell = row.querySelector(`[data-field="${key}"]`);
      setText(cell, text);
      return cell;
    };
    const place = this.model.owners.indexOf(node.node);
    row.className = node.state === "dead" ? "dead" : "";
    row.setAttribute("aria-selected", String(filter.owner === node.node));
    row.querySelector(".swatch").style.background = node.state === "dead" ? palette.nobody : palette.owner(place);
    const leads = this.model.status.leader?.node === node.node;
    row.querySelector(".lead").hidden = !leads;
    const state = set("state", node.state);
    state.className = `state ${node.state}`;
    for (const key of ["owned", "targeted", "arriving", "leaving"]) {
      const cell = set(key, count(node[key]));
      cell.dataset.value = String(node[key]);
      cell.classList.toggle("zero", node[key] === 0);
    }
    set("calls", rate(load?.calls ?? 0));
    set("actors", count(load?.actors ?? 0));
    set("weight", node.weight ?? "–");
    set("zone", node.zone ?? "–");
    set("version", node.version ?? "–");
    const detail = [`incarnation ${node.incarnation ?? "–"}`, node.peer_address, node.http_address,
      Object.entries(node.labels ?? {}).map(([name, value]) => `${name}=${value}`).join(" "),
      (node.kinds ?? []).join(", ")];
    row.querySelector("th").title = detail.filter(Boolean).join("\n");
    const fill = row.querySelector(".fill");
    fill.style.width = `${(100 * node.owned) / most}%`;
    fill.style.background = palette.owner(place);
    row.querySelector(".goal").style.left = `${(100 * node.targeted) / most}%`;
    row.querySelector(".goal").hidden = node.targeted === node.owned;
    row.querySelector('[data-order="drain"]').hidden = node.state !== "active";
    row.querySelector('[data-order="undrain"]').hidden = node.state !== "draining";
  }
}

const KINDS = {
  // All but that nothing had to be done.
  news: { has: (kind) => kind !== "idle" },
  plans: new Set(["moves", "stuck", "idle"]),
  members: new Set(["joined", "left", "death", "draining", "leader", "lead"]),
  orders: new Set(["order", "pin"]),
};
const KIND_WORDS = {
  moves: "plan", stuck: "stuck", idle: "no plan", joined: "member", left: "member", death: "member",
  draining: "member", leader: "leader", lead: "leader", order: "order", pin: "pin",
};

export class Timeline {
  constructor(host, model, choose) {
    Object.assign(this, { host, model, choose });
    this.kind = "news";
    this.shown = new Map();
    this.chosen = null;
  }

  draw() {
    const wanted = KINDS[this.kind];
    const entries = [...this.model.timeline.values()]
      .filter((entry) => wanted.has(entry.kind))
      .sort((a, b) => b.last_ms - a.last_ms || b.id - a.id)
      .slice(0, ENTRIES_SHOWN);
    const shown = new Map();
    for (const entry of entries) {
      const known = this.shown.get(entry.id);
      const item = known && known.times === entry.times ? known.item : this.item(entry);
      item.setAttribute("aria-current", String(this.chosen === entry.id));
      shown.set(entry.id, { item, times: entry.times });
    }
    this.shown = shown;
    const items = [...shown.values()].map((one) => one.item);
    if (items.length === 0) items.push(el("li", { class: "hint" }, "Nothing has happened yet."));
    items.forEach((item, place) => {
      if (this.host.children[place] !== item) this.host.insertBefore(item, this.host.children[place] ?? null);
    });
    while (this.host.children.length > items.length) this.host.lastElementChild.remove();
  }

  item(entry) {
    const steps = entry.steps.map((step) => el("p", { class: "step" },
      el("b", {}, step.from ?? "nobody"), " → ", el("b", {}, step.to), ` · ${plural(step.count, "shard")}`,
      el("span", {}, step.reason)));
    if (entry.more_steps > 0) steps.push(el("p", { class: "step" }, `and ${entry.more_steps} other ways`));
    const again = entry.times > 1 ? ` · ${count(entry.times)} times since ${clock(entry.at_ms)}` : "";
    const term = entry.term > 0 ? ` · term ${entry.term}` : "";
    const by = entry.by ? `by ${entry.by}${term}${again}` : "";
    const show = entry.shards > 0 ? el("button", { type: "button", class: "plain link",
      on: { click: () => this.choose(entry) } }, `show ${plural(entry.shards, "shard")} on the map`) : null;
    const text = entry.kind === "moves"
      ? `gave ${plural(entry.shards, "shard")} ${entry.shards === 1 ? "a new target" : "new targets"}`
      : entry.text;
    return el("li", { class: entry.kind, data: { entry: String(entry.id), kind: entry.kind } },
      el("div", { class: "when" },
        el("time", { title: `${moment(entry.last_ms)}, ${ago(entry.last_ms)}` }, clock(entry.last_ms)),
        el("span", { class: "kind" }, KIND_WORDS[entry.kind] ?? entry.kind)),
      el("div", { class: "what" }, el("p", {}, text), ...steps, by ? el("small", {}, by) : null, show));
  }
}

export function head(model) {
  const status = model.status;
  setText(byId("cluster"), status.cluster);
  document.title = `${status.cluster} · Greenroom`;
  setText(byId("leader"), status.leader?.node ?? "nobody");
  byId("leader").classList.toggle("bad", !status.leader);
  setText(byId("term"), count(status.term));
  setText(byId("seen-by"), `${status.answered_by}, rev ${count(status.revision)}`);
  setText(byId("rebalancing"), status.rebalancing_held ? "held" : "on");
  byId("rebalancing").classList.toggle("bad", status.rebalancing_held);
  setText(byId("hold"), status.rebalancing_held ? "Resume rebalancing…" : "Hold rebalancing…");
  const alive = status.nodes.filter((node) => node.state !== "dead").length;
  const gone = status.nodes.length - alive;
  setText(byId("nodes-note"), `${count(alive)} alive${gone ? `, ${count(gone)} gone` : ""}`);
}
