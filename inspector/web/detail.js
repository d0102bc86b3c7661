// The panel that says where a shard is, where it should be, and why.

import { CONDITION_WORDS } from "./model.js";
import { ago, clock, count, el, moment, plural, rate, setText } from "./dom.js";

export function badges(cell) {
  const all = [el("span", { class: `badge ${cell.condition}` }, CONDITION_WORDS[cell.condition])];
  if (cell.stuck) all.push(el("span", { class: "badge orphan" }, "stuck"));
  if (cell.pin !== null) all.push(el("span", { class: "badge pinned" }, `pinned to ${cell.pin}`));
  return el("span", { class: "badges" }, ...all);
}

function ownerWords(cell) {
  if (cell.owner === null) return "nobody";
  const life = `${cell.owner}@${cell.incarnation}`;
  return cell.alive ? life : `${life} (gone)`;
}

// What a cell is, as pairs of a name and a text.
export function facts(model, cell) {
  const load = model.load(cell.number);
  const since = cell.since === null ? "never written" : `${moment(cell.since)} (${ago(cell.since)})`;
  return [
    ["owner", "Owner", ownerWords(cell)],
    ["target", "Target", cell.target ?? "none"],
    ["pin", "Pin", cell.pin ?? "none"],
    ["group", "Group", model.group(cell.number) ?? "–"],
    ["epoch", "Epoch", count(cell.epoch)],
    ["since", "Since", since],
    ["calls", "Calls", `${rate(load.calls)} a second`],
    ["busy", "Busy", `${(load.busy / 1000).toFixed(load.busy < 10000 ? 1 : 0)} ms a second`],
    ["actors", "In memory", plural(load.actors, "actor")],
  ];
}

export function list(pairs) {
  const rows = pairs.map(([key, name, text]) =>
    el("div", {}, el("dt", {}, name), el("dd", { data: { fact: key } }, text)));
  return el("dl", { class: "pairs" }, ...rows);
}

// One sentence that says how things stand.
function sentence(cell) {
  const reason = cell.reason ? `: ${cell.reason}` : "";
  if (cell.condition === "orphan") return "Nobody alive owns it, and nobody is about to. It waits for the leader.";
  if (cell.condition === "in_motion") {
    const from = cell.alive ? `from ${cell.owner}` : "without an owner";
    return `On its way ${from} to ${cell.target}${reason}.`;
  }
  if (cell.target === null) return `At rest at ${cell.owner}, with no target of its own.`;
  return `At rest at ${cell.owner}${reason}.`;
}

// What of a part of the panel is no fact that may change under the reader's eyes.
function shape(part) {
  const fixed = part.matches("[data-fact]") ? [] : part.querySelectorAll("h2, .badge, dt, button, li");
  const own = part.matches("h3, .hint") ? part.textContent : "";
  return [part.tagName, part.className, own, ...[...fixed].map((element) => element.textContent)].join("\n");
}

export class Detail {
  constructor(host, model, actions) {
    Object.assign(this, { host, model, actions });
    this.selection = null;
    this.asked = 0;
    this.why = null;
    this.show(null);
  }

  show(selection) {
    this.selection = selection;
    this.why = null;
    this.draw();
    if (selection && selection.first === selection.last) this.ask(selection.first);
  }

  // New things are known of the cells.
  refresh() {
    if (!this.selection) return;
    this.draw();
    const { first, last } = this.selection;
    if (first === last && this.model.changed.has(first)) this.ask(first);
  }

  async ask(number) {
    const ticket = (this.asked += 1);
    let why;
    try {
      const answer = await fetch(`/api/why/${this.model.name(number)}`);
      const body = await answer.json();
      why = answer.ok ? body : { decisions: null, decisions_error: body.error.message };
    } catch (error) {
      why = { decisions: null, decisions_error: "this page's server does not answer" };
    }
    if (ticket !== this.asked) return;
    this.why = why;
    this.draw();
  }

  draw() {
    const selection = this.selection;
    if (!selection) return this.host.replaceChildren(...this.hint());
    const { first, last } = selection;
    if (!this.model.cells[first] || !this.model.cells[last]) return this.host.replaceChildren(...this.hint());
    this.update(first === last ? this.one(first) : this.many(first, last));
  }

  // Parts that only say something else keep their elements, so that nobody's click or focus is lost.
  update(parts) {
    const fresh = parts.filter(Boolean);
    fresh.forEach((part, place) => {
      const shown = this.host.children[place];
      if (!shown) return this.host.append(part);
      if (shape(shown) !== shape(part)) return shown.replaceWith(part);
      const texts = (host) => (host.matches("[data-fact]") ? [host] : host.querySelectorAll("[data-fact]"));
      const old = texts(shown);
      texts(part).forEach((text, at) => setText(old[at], text.textContent));
    });
    while (this.host.children.length > fresh.length) this.host.lastElementChild.remove();
  }

  hint() {
    return [
      el("header", {}, el("h2", { id: "detail-title" }, "Why is it there?")),
      el("p", { class: "hint" }, "Choose a shard on the map: here stand its owner, its target, and what the leader decided about it."),
      el("ul", { class: "keys" },
        el("li", {}, el("kbd", {}, "click"), "explain a shard"),
        el("li", {}, el("kbd", {}, "shift"), el("kbd", {}, "click"), "select a span of shards"),
        el("li", {}, el("kbd", {}, "↑"), el("kbd", {}, "↓"), el("kbd", {}, "←"), el("kbd", {}, "→"), "move on the map"),
        el("li", {}, el("kbd", {}, "/"), "find a shard or an actor")),
    ];
  }

  head(title, badge) {
    const close = el("button", { type: "button", class: "quiet round", "aria-label": "Close",
      on: { click: () => this.actions.close() } }, "×");
    return el("header", {}, el("h2", { id: "detail-title" }, title), badge, close);
  }

  buttons(cells) {
    const pinned = cells.some((cell) => cell.pin !== null);
    const order = (kind) => this.actions.order(kind, this.selection.first, this.selection.last);
    const button = (kind, text, shown = true) => shown
      ? el("button", { type: "button", class: "quiet", data: { order: kind },
        on: { click: () => order(kind) } }, text)
      : null;
    return el("div", { class: "buttons" },
      button("pin", "Pin…"), button("unpin", "Unpin…", pinned), button("move", "Move…"));
  }

  one(number) {
    const cell = this.model.cells[number];
    return [
      this.head(`Shard ${this.model.name(number)}`, badges(cell)),
      el("p", { class: "sentence", data: { fact: "sentence" } }, sentence(cell)),
      list(facts(this.model, cell)),
      this.buttons([cell]),
      el("h3", {}, "What the leader decided"),
      this.decisions(),
    ];
  }

  many(first, last) {
    const cells = this.model.cells.slice(first, last + 1).filter(Boolean);
    const owners = new Map();
    let [calls, actors, moving, pinned] = [0, 0, 0, 0];
    for (const cell of cells) {
      const owner = this.model.liveOwner(cell) ?? "nobody";
      owners.set(owner, (owners.get(owner) ?? 0) + 1);
      const load = this.model.load(cell.number);
      calls += load.calls;
      actors += load.actors;
      moving += cell.condition === "in_motion" ? 1 : 0;
      pinned += cell.pin !== null ? 1 : 0;
    }
    const shares = [...owners].sort((a, b) => b[1] - a[1]);
    return [
      this.head(`Shards ${this.model.names(first, last)}`, el("span", { class: "badge" }, count(cells.length))),
      list([
        ...shares.map(([node, shards]) => [`owner-${node}`, node, plural(shards, "shard")]),
        ["in-motion", "In motion", count(moving)],
        ["pinned", "Pinned", count(pinned)],
        ["calls", "Calls", `${rate(calls)} a second`],
        ["actors", "In memory", plural(actors, "actor")],
      ]),
      this.buttons(cells),
    ];
  }

  decisions() {
    if (!this.why) return el("p", { class: "hint" }, "Asking the leader…");
    if (!this.why.decisions) {
      return el("p", { class: "hint", role: "alert" }, `The leader's decisions are not known: ${this.why.decisions_error}`);
    }
    const newest = [...this.why.decisions].reverse();
    if (newest.length === 0) return el("p", { class: "hint" }, `${this.why.decided_by} keeps no decision about it.`);
    return el("ol", { class: "decisions" }, ...newest.map((decision) => {
      const steps = decision.moves.map((move) => el("p", { class: "step" },
        el("b", {}, move.from ?? "nobody"), " → ", el("b", {}, move.to), el("span", {}, move.reason)));
      const times = decision.times > 1 ? `, ${count(decision.times)} times until ${clock(decision.last_ms)}` : "";
      return el("li", { class: decision.kind },
        el("time", { title: moment(decision.at_ms) }, clock(decision.at_ms)),
        ...(steps.length ? steps : [el("p", {}, decision.text)]),
        el("small", {}, `decision ${decision.number} of ${this.why.decided_by}, term ${decision.term}${times}`));
    }));
  }
}
