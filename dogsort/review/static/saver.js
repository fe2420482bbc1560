// Corrections on their way to the disk: one after the other, so that undo goes back in their order.

import { ask, pause } from "./api.js";

const AGAIN = 2000; // milliseconds until the next try

export class Saver {
  queue = [];
  problem = "";
  #busy = false;

  // hooks: changed() when the state is another, moved() after the table was read again,
  // dropped(problem) for what the server will never take, undone(rows) after an undo.
  constructor(album, hooks) {
    this.album = album;
    this.hooks = hooks;
  }

  get unsaved() {
    return this.queue.reduce((sum, step) => sum + (step.rows?.length ?? 0), 0);
  }

  label(rows, label) {
    this.album.set(rows, label);
    this.#add({ rows, label });
  }

  undo() {
    this.#add({});
  }

  // Show what is not saved on top of what the server says.
  setAgain() {
    for (const { rows, label } of this.queue) if (rows) this.album.set(rows, label);
  }

  // The table was read again: rows have other numbers.
  renumber(find) {
    for (const step of this.queue) {
      if (step.rows) step.rows = step.rows.map(find).filter((row) => row !== undefined);
    }
    this.setAgain();
  }

  #add(step) {
    this.queue.push(step);
    if (!this.#busy) this.#run();
  }

  async #run() {
    this.#busy = true;
    while (this.queue.length) {
      this.hooks.changed();
      await this.#send(this.queue[0]);
    }
    this.#busy = false;
    this.hooks.changed();
  }

  async #send({ rows, label }) {
    const { generation } = this.album;
    try {
      if (rows) await ask("/labels", { generation, rows, label });
      else await this.hooks.undone((await ask("/undo", { generation })).rows);
    } catch (problem) {
      if (problem.status === 409) return this.hooks.moved();
      // An undo that got no answer may have been done: it is not sent twice.
      if (problem.status === 400 || !rows) {
        this.queue.shift();
        return this.hooks.dropped(problem);
      }
      this.problem = problem.message;
      this.hooks.changed();
      return pause(AGAIN);
    }
    this.problem = "";
    this.queue.shift();
  }
}
