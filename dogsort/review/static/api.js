// Requests to the server, the queue of corrections to be saved, and two helpers.

import { words } from "./words.js";

const PATIENCE = 60_000; // milliseconds; planning a large album takes some seconds
const AGAIN = 2000; // milliseconds until the next try

export const make = (tag, values, ...children) => {
  const element = Object.assign(document.createElement(tag), values);
  element.append(...children);
  return element;
};
export const pause = (milliseconds) => new Promise((go) => setTimeout(go, milliseconds));

export async function ask(path, body) {
  const post = body && {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  };
  const answer = await fetch(path, { ...post, signal: AbortSignal.timeout(PATIENCE) })
    .catch(() => ({ status: 0 }));
  const said = await answer.json?.().catch(() => ({}));
  if (answer.ok) return said;
  const message = { 0: words.gone, 403: words.lapsed }[answer.status] ?? said?.error;
  throw Object.assign(new Error(message ?? words.refused(answer.status)), { status: answer.status });
}

// Sends corrections one at a time, so that undo reverts them in order.
export class Saver {
  queue = []; // {rows, label}, or {} for an undo
  problem = "";

  // on: changed(), undone(rows), moved() when rows have new numbers, dropped(problem) when a
  // step cannot be done.
  constructor(album, on) {
    Object.assign(this, { album, on });
  }

  add(step) {
    this.queue.push(step);
    this.setAgain();
    this.on.changed();
    if (this.queue.length === 1) this.#run();
  }

  // Show unsaved corrections on top of the server's rows.
  setAgain() {
    for (const { rows, label } of this.queue) if (rows) this.album.set(rows, label);
  }

  async #run() {
    while (this.queue.length) {
      const { rows, label } = this.queue[0];
      const { generation } = this.album;
      try {
        if (rows) await ask("/labels", { generation, rows, label });
        else await this.on.undone((await ask("/undo", { generation })).rows);
      } catch (problem) {
        if (problem.status === 409) return this.on.moved();
        if (rows && problem.status !== 400) {
          this.problem = problem.message;
          this.on.changed();
          await pause(AGAIN);
          continue;
        }
        this.on.dropped(problem); // an undo without an answer may be done, so it is not sent again
      }
      this.queue.shift();
      this.problem = "";
      this.on.changed();
    }
  }
}
