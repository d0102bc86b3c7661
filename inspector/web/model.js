// What the page knows of the cluster: the last snapshot and the deltas since, as the server's
// message.rs writes them.

const CONDITIONS = ["at_rest", "in_motion", "orphan"];
const NO_LOAD = { calls: 0, busy: 0, actors: 0 };
const TIMELINE_MAX = 500;

export const CONDITION_WORDS = { at_rest: "at rest", in_motion: "in motion", orphan: "orphan" };

export class Model {
  constructor() {
    this.number = 0;
    this.atMs = 0;
    this.asked = "";
    this.status = null;
    this.cells = [];
    this.loads = new Map();
    this.loadsError = null;
    this.timeline = new Map();
    this.trouble = null;
    this.changed = new Set();
    this.owners = [];
  }

  snapshot(message) {
    this.cells = [];
    this.loads = new Map();
    this.timeline = new Map();
    this.take(message);
    this.changed.clear();
  }

  delta(message) {
    this.take(message);
  }

  take(message) {
    this.number = message.number;
    this.atMs = message.at_ms;
    this.asked = message.asked;
    this.status = message.status;
    this.trouble = message.trouble;
    this.loadsError = message.loads_error;
    const text = (place) => (place === null ? null : message.texts[place]);
    this.changed = new Set();
    for (const cell of message.cells) {
      const [number, condition, target, owner, incarnation, alive, pin, epoch, since, reason, stuck] = cell;
      this.cells[number] = {
        number,
        condition: CONDITIONS[condition],
        target: text(target),
        owner: text(owner),
        incarnation,
        alive: alive === 1,
        pin: text(pin),
        epoch,
        since,
        reason: text(reason),
        stuck: stuck === 1,
      };
      this.changed.add(number);
    }
    for (const [shard, calls, busy, actors] of message.loads) {
      if (calls || busy || actors) this.loads.set(shard, { calls, busy, actors });
      else this.loads.delete(shard);
    }
    for (const entry of message.timeline) this.timeline.set(entry.id, entry);
    const extra = [...this.timeline.keys()].sort((a, b) => a - b).slice(0, -TIMELINE_MAX);
    for (const id of extra) this.timeline.delete(id);
    // A node keeps its colour for as long as the page is open.
    const names = [...message.status.nodes, ...message.status.unknown_nodes].map((node) => node.node);
    for (const name of names) if (!this.owners.includes(name)) this.owners.push(name);
  }

  // Everybody who is named as an owner and is alive, or nobody.
  liveOwner(cell) {
    return cell.alive ? cell.owner : null;
  }

  load(number) {
    return this.loads.get(number) ?? NO_LOAD;
  }

  group(number) {
    return this.status.groups[Math.floor(number / this.status.shard_count)]?.group ?? null;
  }

  // As people write it: the first group's name is left out.
  name(number) {
    const place = number % this.status.shard_count;
    return number < this.status.shard_count ? String(place) : `${this.group(number)}/${place}`;
  }

  names(first, last) {
    return first === last ? this.name(first) : `${this.name(first)}-${last % this.status.shard_count}`;
  }

  // The number of a shard that people named, or null.
  parse(name) {
    const found = /^(?:([^/]+)\/)?(\d{1,10})$/.exec(name.trim());
    if (!found || !this.status) return null;
    const place = Number(found[2]);
    if (found[1] === undefined) return place < this.cells.length ? place : null;
    const group = this.status.groups.findIndex((entry) => entry.group === found[1]);
    if (group < 0 || place >= this.status.shard_count) return null;
    return group * this.status.shard_count + place;
  }

  // Counted here, cell by cell; the server counts for itself.
  tally() {
    const tally = {
      shards: 0, owned: 0, in_motion: 0, without_owner: 0, orphans: 0, pinned: 0, stuck: 0,
      calls: 0, actors: 0, byOwner: new Map(),
    };
    for (const cell of this.cells) {
      if (!cell) continue;
      tally.shards += 1;
      if (cell.alive) tally.owned += 1;
      else tally.without_owner += 1;
      if (cell.condition === "in_motion") tally.in_motion += 1;
      if (cell.condition === "orphan") tally.orphans += 1;
      if (cell.pin !== null) tally.pinned += 1;
      if (cell.stuck) tally.stuck += 1;
      const load = this.loads.get(cell.number);
      const owner = this.liveOwner(cell);
      if (owner !== null || load) {
        const of = tally.byOwner.get(owner) ?? { shards: 0, calls: 0, actors: 0 };
        of.shards += 1;
        of.calls += load?.calls ?? 0;
        of.actors += load?.actors ?? 0;
        tally.byOwner.set(owner, of);
      }
      tally.calls += load?.calls ?? 0;
      tally.actors += load?.actors ?? 0;
    }
    return tally;
  }
}
