// The rows of the table: which there are, how they are labelled, which to show in what order.

import { ask } from "./api.js";

export const LABELS = ["dog", "cat", "neither", "unsure", "failed"];
const [UNSURE, FAILED] = [LABELS.indexOf("unsure"), LABELS.indexOf("failed")];
// The order of the values in an answer's rows.
const FIELDS = [
  "path", "label", "network_label", "p_dog", "p_pet", "confidence", "error", "filed",
];

export class Album {
  path = [];

  async load() {
    const { columns, ...rest } = await ask("/album");
    Object.assign(this, { dates: null, filed: {} }, rest, columns);
  }

  // Load again; return a function from a row as it was to where its photo is now.
  async reload() {
    const before = this.path;
    await this.load();
    const rows = new Map(this.path.map((path, row) => [path, row]));
    return (row) => rows.get(before[row]);
  }

  get size() {
    return this.path.length;
  }

  isLooked(row) {
    return this.network_label[row] >= 0;
  }

  // The label that would be given if the network had to say one; -1 if it said nothing.
  likeliest(row) {
    const [dog, pet] = [this.p_dog[row], this.p_pet[row]];
    if (dog === null || pet === null) return -1;
    const joint = [dog * pet, (1 - dog) * pet, 1 - pet];
    return joint.indexOf(Math.max(...joint));
  }

  address(kind, row, size) {
    return `/${kind}/${this.generation}/${row}${size ? `?size=${size}` : ""}`;
  }

  // Take over what /changes says; return the rows that are new here.
  take({ rows, version, running, expected, job }) {
    const before = this.size;
    Object.assign(this, { version, running, expected, job });
    for (const [row, ...values] of rows) {
      FIELDS.forEach((field, index) => { this[field][row] = values[index]; });
    }
    return Array.from({ length: this.size - before }, (_, index) => before + index);
  }

  // Set a label here, as the server will.
  set(rows, label) {
    for (const row of rows) {
      if (!this.isLooked(row)) this.network_label[row] = this.label[row];
      if (label !== "confirm") this.label[row] = LABELS.indexOf(label);
    }
  }

  matches(row, { filter, search, upTo }) {
    if (filter === "looked" ? !this.isLooked(row) :
      filter !== "all" && LABELS[this.label[row]] !== filter) return false;
    if (upTo < 1 && !(this.confidence[row] <= upTo && this.confidence[row] !== null)) return false;
    return !search || this.path[row].toLowerCase().includes(search);
  }

  view(show) {
    const rows = [];
    for (let row = 0; row < this.size; row++) if (this.matches(row, show)) rows.push(row);
    if (show.order === "path") {
      const compare = (a, b) => (this.path[a] < this.path[b] ? -1 : 1);
      return rows.sort((a, b) => (this.path[a] === this.path[b] ? a - b : compare(a, b)));
    }
    const keys = Float64Array.from(this.path, (_, row) => this.#key(row, show.order));
    return rows.sort((a, b) => keys[a] - keys[b] || a - b);
  }

  // What is still to be looked at comes first: a person goes on where they left off.
  #key(row, order) {
    if (order === "doubt") {
      const label = this.label[row];
      const kind = this.isLooked(row) ? 2 : label === FAILED ? 4 : label === UNSURE ? -2 : 0;
      return kind + (this.confidence[row] ?? 1);
    }
    const date = this.dates?.[row] ?? Infinity;
    return order === "young" && date !== Infinity ? -date : Math.min(date, Number.MAX_VALUE);
  }

  async loadDates() {
    const { dates, complete } = await ask(`/dates/${this.generation}`);
    this.dates = dates;
    return complete;
  }

  counts() {
    const counts = { all: this.size, looked: 0 };
    const labels = new Array(LABELS.length).fill(0);
    for (let row = 0; row < this.size; row++) {
      labels[this.label[row]]++;
      if (this.isLooked(row)) counts.looked++;
    }
    LABELS.forEach((label, code) => { counts[label] = labels[code]; });
    return counts;
  }

  // How often the network was wrong where a person looked, with Wilson's 95% interval.
  tally() {
    let [looked, given, corrected] = [0, 0, 0];
    for (let row = 0; row < this.size; row++) {
      const said = this.network_label[row];
      if (said < 0) continue;
      looked++;
      if (said >= UNSURE) continue;
      given++;
      if (said !== this.label[row]) corrected++;
    }
    const z2 = 1.96 ** 2;
    const rate = given ? corrected / given : 0;
    const middle = (rate + z2 / (2 * given)) / (1 + z2 / given);
    const half = Math.sqrt(rate * (1 - rate) * z2 / given + z2 ** 2 / (4 * given ** 2))
      / (1 + z2 / given);
    return { looked, given, corrected, low: middle - half, high: middle + half };
  }
}
