// Orders: each is confirmed in a dialog that says what will happen, sent with the operators' token,
// and its result or refusal is shown. The token lives in this object alone.

import { byId, count, el, plural, setText } from "./dom.js";

const REFUSALS = {
  unauthenticated: "Refused: the token is missing or not that of this cluster.",
  permission_denied: "Refused: the node takes no orders.",
  in_doubt: "Unknown: the order may have been carried out or not. Giving it again does no harm.",
};

export class Orders {
  constructor(model) {
    this.model = model;
    this.token = "";
    this.order = null;
    this.sending = false;
    this.dialog = byId("order");
    this.tokenDialog = byId("token");
    byId("order-form").addEventListener("submit", (event) => this.submit(event));
    byId("order-cancel").addEventListener("click", () => this.dialog.close());
    byId("order-to").addEventListener("change", () => this.describe());
    byId("order-force").addEventListener("change", () => this.describe());
    byId("unlock").addEventListener("click", () => this.unlock());
    byId("token-form").addEventListener("submit", (event) => this.keep(event));
    byId("token-cancel").addEventListener("click", () => this.tokenDialog.close());
    this.tokenDialog.addEventListener("close", () => { byId("token-text").value = ""; });
    this.dialog.addEventListener("close", () => { byId("order-token").value = ""; });
    this.dialog.addEventListener("cancel", (event) => { if (this.sending) event.preventDefault(); });
  }

  // The lock in the header: asks for the token, or forgets it.
  unlock() {
    if (this.token) {
      this.token = "";
      this.lock();
    } else {
      this.tokenDialog.showModal();
      byId("token-text").focus();
    }
  }

  keep(event) {
    event.preventDefault();
    this.token = byId("token-text").value.trim();
    this.lock();
    this.tokenDialog.close();
  }

  lock() {
    const open = this.token !== "";
    byId("unlock").setAttribute("aria-pressed", String(open));
    setText(byId("unlock-text"), open ? "Orders unlocked" : "Orders locked");
  }

  // Opens the dialog for pin, unpin and move of a span of shards.
  shards(kind, first, last) {
    const cells = this.model.cells.slice(first, last + 1).filter(Boolean);
    this.open({ kind, cells, names: this.model.names(first, last) });
  }

  // Opens the dialog for drain and undrain of a node.
  node(kind, node) {
    this.open({ kind, node });
  }

  rebalancing() {
    this.open({ kind: this.model.status.rebalancing_held ? "resume" : "hold" });
  }

  open(order) {
    this.order = order;
    const to = byId("order-to");
    const takers = this.model.status.nodes.filter((node) => node.state === "active");
    const here = order.kind === "pin" ? [el("option", { value: "" }, "each where it is now")] : [];
    to.replaceChildren(...here, ...takers.map((node) => el("option", { value: node.node }, node.node)));
    if (order.kind === "move" && order.cells.length === 1) {
      const elsewhere = takers.find((node) => node.node !== order.cells[0].owner);
      if (elsewhere) to.value = elsewhere.node;
    }
    byId("order-to-label").hidden = order.kind !== "pin" && order.kind !== "move";
    byId("order-force-label").hidden = order.kind !== "drain";
    byId("order-force").checked = false;
    byId("order-token-label").hidden = this.token !== "";
    byId("order-result").hidden = true;
    byId("order-go").hidden = false;
    setText(byId("order-cancel"), "Cancel");
    this.describe();
    this.dialog.showModal();
    (this.token === "" ? byId("order-token") : byId("order-go")).focus();
  }

  describe() {
    const words = this.words();
    setText(byId("order-title"), words.title);
    setText(byId("order-text"), words.text);
    setText(byId("order-command"), `greenroom ${words.command} --node ${this.model.asked}`);
    setText(byId("order-go"), words.go);
  }

  // What will happen, and how it is sent.
  words() {
    const { kind, cells = [], names, node } = this.order;
    const to = byId("order-to").value;
    const noun = cells.length === 1 ? "shard" : "shards";
    const it = cells.length === 1 ? "it" : "they";
    const elsewhere = to === "" ? 0 : cells.filter((cell) => this.model.liveOwner(cell) !== to).length;
    const moving = elsewhere === 0 ? "Nothing moves now."
      : `${plural(elsewhere, "shard")} will be handed over to ${to} now; calls wait for the moment of the handover.`;
    switch (kind) {
      case "pin": return {
        title: `Pin ${noun} ${names}`,
        text: to === ""
          ? `${cells.length === 1 ? "It stays" : "Each stays"} where it is now, whatever the balance, until unpinned. Nothing moves now.`
          : `${it[0].toUpperCase()}${it.slice(1)} will be kept at ${to}, whatever the balance, until unpinned. ${moving} While ${to} is away, ${it} will be served elsewhere.`,
        command: `pin ${names}${to ? ` --to ${to}` : ""}`,
        go: `Pin ${plural(cells.length, "shard")}`,
        path: "pin",
        body: { shards: [names], to: to || null },
      };
      case "unpin": {
        const pinned = cells.filter((cell) => cell.pin !== null).length;
        return {
          title: `Unpin ${noun} ${names}`,
          text: `${plural(pinned, "pin")} will be taken away. Nothing moves now, but rebalancing may move ${pinned === 1 ? "the shard" : "the shards"} again.`,
          command: `unpin ${names}`, go: `Unpin ${plural(cells.length, "shard")}`,
          path: "unpin", body: { shards: [names] },
        };
      }
      case "move": return {
        title: `Move ${noun} ${names}`,
        text: `${moving} This is for once: rebalancing may move ${cells.length === 1 ? "it" : "them"} again. Pin to keep ${cells.length === 1 ? "it" : "them"} there.`,
        command: `move ${names} --to ${to}`, go: `Move ${plural(cells.length, "shard")}`,
        path: "move", body: { shards: [names], to },
      };
      case "drain": {
        const owned = this.model.status.nodes.find((entry) => entry.node === node)?.owned ?? 0;
        const force = byId("order-force").checked;
        return {
          title: `Drain ${node}`,
          text: `${node} will give all its ${plural(owned, "shard")} to other nodes and stay a member, until the drain is ended or its process restarts.`,
          command: `drain ${node}${force ? " --force" : ""}`, go: `Drain ${node}`,
          path: "drain", body: { node, undo: false, force },
        };
      }
      case "undrain": return {
        title: `End the drain of ${node}`,
        text: `${node} will take shards again, and rebalancing will give it its share.`,
        command: `drain ${node} --undo`, go: "End the drain",
        path: "drain", body: { node, undo: true, force: false },
      };
      case "hold": return {
        title: "Hold rebalancing",
        text: `Nothing will move for balance any more, and the ${count(this.model.tally().in_motion)} shards in motion for balance go back. Shards without an owner are given one all the same.`,
        command: "rebalance hold", go: "Hold rebalancing", path: "rebalance", body: { hold: true },
      };
      default: return {
        title: "Resume rebalancing",
        text: "The leader may move shards for balance again.",
        command: "rebalance resume", go: "Resume rebalancing", path: "rebalance", body: { hold: false },
      };
    }
  }

  async submit(event) {
    event.preventDefault();
    if (this.sending) return;
    const typed = byId("order-token").value.trim();
    const token = this.token || typed;
    const { path, body } = this.words();
    if (!token) return this.result("refused", "Refused: orders need the operators' token.");
    // What is no visible ASCII can't even be sent in a header.
    if (!/^[\x21-\x7e]+$/.test(token)) return this.result("refused", REFUSALS.unauthenticated);
    this.sending = true;
    byId("order-go").disabled = true;
    this.result("waiting", "Sent; waiting for the node.");
    try {
      const answer = await fetch(`/api/orders/${path}`, {
        method: "POST",
        headers: { "content-type": "application/json", authorization: `Bearer ${token}` },
        body: JSON.stringify(body),
      });
      const told = await answer.json();
      if (answer.ok) this.done(token, told);
      else this.refuse(told.error);
    } catch (error) {
      this.result("refused", "This page's server does not answer. The order may have been carried out or not.");
    } finally {
      this.sending = false;
      byId("order-go").disabled = false;
    }
  }

  done(token, told) {
    this.token = token;
    this.lock();
    this.result("done", `Done: ${told.done} (by ${told.by}).`);
    byId("order-token-label").hidden = true;
    byId("order-go").hidden = true;
    setText(byId("order-cancel"), "Close");
    byId("order-cancel").focus();
    setText(byId("said"), told.done);
  }

  refuse({ code, message }) {
    if (code === "unauthenticated") {
      this.token = "";
      this.lock();
      byId("order-token-label").hidden = false;
      byId("order-token").value = "";
      byId("order-token").focus();
    }
    const start = REFUSALS[code] ?? "Refused.";
    this.result("refused", code === "unauthenticated" ? start : `${start} ${message}`);
  }

  result(kind, text) {
    const result = byId("order-result");
    result.className = `result ${kind}`;
    setText(result, text);
    result.hidden = false;
  }
}
