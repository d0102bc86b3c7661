// The map of shards: one cell each, drawn on a canvas in the device's own pixels. A second canvas
// above it shows what is under the pointer, selected, or has just changed.

import { along, colours } from "./colours.js";
import { count, el } from "./dom.js";

const CELL_MAX = 26;
const FLASH_MS = 900;

// Draws one cell; the legend draws its samples with it too.
export function paint(context, x, y, size, look, palette) {
  const { fill, second, pinned, orphan, stuck } = look;
  if (orphan) {
    const edge = Math.max(1, Math.round(size / 3.5));
    context.fillStyle = palette.alarm;
    context.fillRect(x, y, size, size);
    context.fillStyle = palette.empty;
    context.fillRect(x + edge, y + edge, size - 2 * edge, size - 2 * edge);
  } else {
    context.fillStyle = fill;
    context.fillRect(x, y, size, size);
  }
  if (second) {
    context.fillStyle = second;
    context.beginPath();
    context.moveTo(x + size, y);
    context.lineTo(x + size, y + size);
    context.lineTo(x, y + size);
    context.fill();
  }
  if (stuck) {
    const edge = Math.max(1, Math.round(size / 6));
    context.strokeStyle = palette.alarm;
    context.lineWidth = edge;
    context.strokeRect(x + edge / 2, y + edge / 2, size - edge, size - edge);
  }
  if (pinned) {
    const outer = Math.max(2, 2 * Math.round(size * 0.32));
    const inner = Math.max(1, outer - 2 * Math.max(1, Math.round(size / 9)));
    const at = (length) => Math.round((size - length) / 2);
    context.fillStyle = palette.ink;
    context.fillRect(x + at(outer), y + at(outer), outer, outer);
    context.fillStyle = palette.paper;
    context.fillRect(x + at(inner), y + at(inner), inner, inner);
  }
}

// Parts of 0 to 1 on a scale on which ten times as much is one step.
export function logPart(value, most) {
  if (value <= 0) return 0;
  return most <= 1 ? 1 : 0.18 + 0.82 * (Math.log(value) / Math.log(most));
}

export class Heatmap {
  constructor(stage, canvas, overlay, gutter, model, events) {
    Object.assign(this, { stage, canvas, overlay, gutter, model, events });
    this.mode = "owner";
    this.group = 0;
    this.passes = null;
    this.hovered = null;
    this.cursor = null;
    this.selection = null;
    this.flashes = new Map();
    this.most = { calls: 1, actors: 1 };
    new ResizeObserver(() => this.draw()).observe(stage);
    canvas.addEventListener("pointermove", (event) => this.hover(this.at(event), event));
    canvas.addEventListener("pointerleave", () => this.hover(null));
    canvas.addEventListener("click", (event) => this.click(this.at(event), event.shiftKey));
    canvas.addEventListener("keydown", (event) => this.key(event));
    canvas.addEventListener("focus", () => this.drawOver());
    canvas.addEventListener("blur", () => this.drawOver());
  }

  get count() {
    return this.model.status?.shard_count ?? 0;
  }

  get base() {
    return this.group * this.count;
  }

  // Twice as wide as high, in columns that people can count: 128 for 8192 shards.
  layout() {
    const density = window.devicePixelRatio || 1;
    const columns = 2 ** Math.floor(Math.log2(Math.sqrt(2 * Math.max(this.count, 1))));
    const rows = Math.ceil(this.count / columns);
    const room = Math.floor(this.stage.clientWidth * density);
    const pitch = Math.max(1, Math.min(Math.floor(room / columns), Math.round(CELL_MAX * density)));
    const gap = pitch >= 5 * density ? Math.round(density) : pitch >= 4 ? 1 : 0;
    return { density, columns, rows, pitch, size: pitch - gap };
  }

  look(cell, palette) {
    const marks = {
      pinned: cell.pin !== null,
      orphan: cell.condition === "orphan",
      stuck: cell.stuck,
    };
    const load = this.model.load(cell.number);
    const owners = this.model.owners;
    const moves = cell.condition === "in_motion";
    switch (this.mode) {
      case "calls":
      case "actors": {
        const part = logPart(load[this.mode], this.most[this.mode]);
        return { fill: along(palette.ramp, part), ...marks };
      }
      case "state":
        return { fill: moves ? palette.motion : palette.rest, ...marks };
      default: {
        const colour = (node) => palette.owner(node === null ? -1 : owners.indexOf(node));
        const fill = colour(this.model.liveOwner(cell));
        return { fill, second: moves ? colour(cell.target) : null, ...marks };
      }
    }
  }

  // The number of the first shard of some rows, beside the map.
  label({ density, columns, rows, pitch }) {
    const step = [1, 2, 4, 8, 16, 32, 64, 128].find((step) => step * pitch / density >= 40) ?? rows;
    const shape = JSON.stringify([columns, rows, pitch, density, this.count]);
    if (shape === this.labelled) return;
    this.labelled = shape;
    const labels = [];
    for (let row = 0; row < rows; row += step) {
      const label = el("span", {}, count(row * columns));
      label.style.top = `${(row + 0.5) * pitch / density}px`;
      labels.push(label);
    }
    this.gutter.replaceChildren(...labels);
  }

  draw() {
    const { density, columns, rows, pitch, size } = (this.geometry = this.layout());
    this.label(this.geometry);
    for (const canvas of [this.canvas, this.overlay]) {
      const [width, height] = [columns * pitch, rows * pitch];
      if (canvas.width !== width || canvas.height !== height) {
        canvas.width = width;
        canvas.height = height;
        canvas.style.width = `${width / density}px`;
        canvas.style.height = `${height / density}px`;
      }
    }
    const context = this.canvas.getContext("2d");
    const palette = colours();
    context.clearRect(0, 0, this.canvas.width, this.canvas.height);
    this.most = { calls: 1, actors: 1 };
    for (const load of this.model.loads.values()) {
      this.most.calls = Math.max(this.most.calls, load.calls);
      this.most.actors = Math.max(this.most.actors, load.actors);
    }
    for (let place = 0; place < this.count; place += 1) {
      const cell = this.model.cells[this.base + place];
      if (!cell) continue;
      context.globalAlpha = this.passes && !this.passes(cell) ? 0.12 : 1;
      const [x, y] = [(place % columns) * pitch, Math.floor(place / columns) * pitch];
      paint(context, x, y, size, this.look(cell, palette), palette);
    }
    context.globalAlpha = 1;
    this.drawOver();
  }

  // Cells that changed shine for a moment, unless the viewer asked for less motion.
  flash(numbers) {
    if (matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    const until = performance.now() + FLASH_MS;
    for (const number of numbers) this.flashes.set(number, until);
    this.drawOver();
  }

  drawOver() {
    if (!this.geometry) return;
    const { columns, pitch, size, density } = this.geometry;
    const context = this.overlay.getContext("2d");
    const palette = colours();
    context.clearRect(0, 0, this.overlay.width, this.overlay.height);
    const corner = (number) => {
      const place = number - this.base;
      if (place < 0 || place >= this.count) return null;
      return [(place % columns) * pitch, Math.floor(place / columns) * pitch];
    };
    const fill = (number) => {
      const at = corner(number);
      if (at) context.fillRect(at[0], at[1], size, size);
    };
    const frame = (number, width, out) => {
      const at = corner(number);
      if (!at) return;
      // Not past the edge of the map.
      const most = [this.overlay.width, this.overlay.height];
      const from = at.map((from) => Math.max(from - out, width / 2));
      const to = at.map((from, axis) => Math.min(from + size + out, most[axis] - width / 2));
      context.lineWidth = width;
      context.strokeRect(from[0], from[1], to[0] - from[0], to[1] - from[1]);
    };
    const now = performance.now();
    context.fillStyle = palette.paper;
    for (const [number, until] of this.flashes) {
      if (until <= now) {
        this.flashes.delete(number);
        continue;
      }
      context.globalAlpha = 0.8 * (until - now) / FLASH_MS;
      fill(number);
    }
    context.globalAlpha = 1;
    context.strokeStyle = palette.ring;
    if (this.selection) {
      const { first, last } = this.selection;
      context.globalAlpha = first === last ? 1 : 0.9;
      for (let number = first; number <= last; number += 1) frame(number, 2 * density, density);
      context.globalAlpha = 1;
    }
    if (this.cursor !== null && document.activeElement === this.canvas) {
      frame(this.cursor, 2 * density, 2 * density);
    }
    if (this.hovered !== null) frame(this.hovered, 1.5 * density, density);
    if (this.flashes.size > 0 && !this.waiting) {
      this.waiting = true;
      requestAnimationFrame(() => {
        this.waiting = false;
        this.drawOver();
      });
    }
  }

  // The middle of a cell, in the page's pixels from the canvas' corner.
  middle(number) {
    const { columns, pitch, density } = this.geometry ?? this.layout();
    const place = number - this.base;
    return {
      x: ((place % columns) + 0.5) * pitch / density,
      y: (Math.floor(place / columns) + 0.5) * pitch / density,
    };
  }

  at(event) {
    const { columns, rows, pitch, density } = this.geometry ?? this.layout();
    const box = this.canvas.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left) * density / pitch);
    const row = Math.floor((event.clientY - box.top) * density / pitch);
    if (column < 0 || row < 0 || column >= columns || row >= rows) return null;
    const place = row * columns + column;
    return place < this.count ? this.base + place : null;
  }

  hover(number) {
    if (number === this.hovered) return;
    this.hovered = number;
    this.drawOver();
    this.events.hover(number);
  }

  click(number, extend) {
    if (number === null) return;
    this.cursor = number;
    this.select(number, extend);
  }

  select(number, extend = false) {
    if (number === null) {
      this.selection = null;
    } else if (extend && this.selection) {
      const anchor = this.selection.anchor;
      this.selection = { anchor, first: Math.min(anchor, number), last: Math.max(anchor, number) };
    } else {
      this.selection = { anchor: number, first: number, last: number };
    }
    if (number !== null) this.cursor = number;
    this.drawOver();
    this.events.select(this.selection);
  }

  key(event) {
    const columns = this.geometry?.columns ?? 1;
    const [low, high] = [this.base, this.base + this.count - 1];
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns,
      PageUp: -8 * columns, PageDown: 8 * columns, Home: -Infinity, End: Infinity };
    const step = steps[event.key];
    if (step !== undefined && this.count > 0) {
      event.preventDefault();
      const from = this.cursor ?? low - step;
      this.cursor = Math.min(Math.max(from + step, low), high);
      if (event.shiftKey && this.selection) this.select(this.cursor, true);
      this.drawOver();
      this.events.cursor(this.cursor);
    } else if ((event.key === "Enter" || event.key === " ") && this.cursor !== null) {
      event.preventDefault();
      this.select(this.cursor, event.shiftKey);
    } else if (event.key === "Escape") {
      this.select(null);
      this.events.cursor(null);
    }
  }
}
