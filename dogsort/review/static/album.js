// The rows of the table: their labels, which to show, and in what order.

import { ask } from "./api.js";

export const LABELS = ["dog", "cat", "neither", "unsure", "failed"];
const [UNSURE, FAILED] = [3, 4];
const Z2 = 1.96 ** 2; // for 95%
// The order of the values in a row of /changes.
const FIELDS = ["path", "label", "network_label", "p_dog", "p_pet", "confidence", "error", "filed"];

export class Album {
  async load() {
    const { columns, ...rest } = await ask("/album");
    Object.assign(this, { dates: [], filed: {} }, rest, columns);
  }

  take({ rows, ...rest }) {
    Object.assign(this, rest);
    for (const [row, ...values] of rows) FIELDS.forEach((name, n) => { this[name][row] = values[n]; });
  }

  isLooked(row) {
    return this.network_label[row] >= 0;
  }

  // Set a label here as the server will.
  set(rows, label) {
    for (const row of rows) {
      if (!this.isLooked(row)) this.network_label[row] = this.label[row];
      if (label !== "confirm") this.label[row] = LABELS.indexOf(label);
    }
  }

  address(kind, row, size) {
    return `/${kind}/${this.generation}/${row}${size ? `?size=${size}` : ""}`;
  }

  // The probabilities of dog, cat and neither; null if the network gave none.
  chances(row) {
    const [dog, pet] = [this.p_dog[row], this.p_pet[row]];
    return dog === null || pet === null ? null : [dog * pet, (1 - dog) * pet, 1 - pet];
  }

  // Where a photo was moved, from the folder of the photos; empty if it was not.
  place(row) {
    const [place, { folder }] = [this.filed[row] ?? "", this];
    const isInside = place.startsWith(folder) && /[/\\]/.test(place[folder.length]);
    return isInside ? place.slice(folder.length + 1) : place;
  }

  matches(row, { filter, search, upTo }) {
    if (filter === "looked" && !this.isLooked(row)) return false;
    if (LABELS.includes(filter) && LABELS[this.label[row]] !== filter) return false;
    if (upTo < 1 && (this.confidence[row] ?? 1) > upTo) return false;
    return !search || this.path[row].toLowerCase().includes(search.toLowerCase());
  }

  view(show) {
    const rows = [...this.path.keys()].filter((row) => this.matches(row, show));
    const keys = this.path.map((path, row) => this.#key(show.order, path, row));
    return rows.sort((a, b) => (keys[a] < keys[b] ? -1 : keys[a] > keys[b] ? 1 : a - b));
  }

  #key(order, path, row) {
    if (order === "path") return path;
    if (order !== "doubt") return (this.dates[row] ?? Infinity) * (order === "young" ? -1 : 1);
    // Photos not reviewed yet come first, so that a person continues where they left off.
    const label = this.label[row];
    const kind = this.isLooked(row) ? 2 : label === FAILED ? 4 : label === UNSURE ? -2 : 0;
    return kind + (this.confidence[row] ?? 1);
  }

  counts() {
    const counts = { all: this.path.length, looked: this.network_label.filter((n) => n >= 0).length };
    for (const label of LABELS) counts[label] = 0;
    for (const label of this.label) counts[LABELS[label]]++;
    return counts;
  }

  // How often the network was wrong on reviewed photos, with Wilson's interval.
  tally() {
    const looked = [...this.path.keys()].filter((row) => this.isLooked(row));
    const given = looked.filter((row) => this.network_label[row] < UNSURE);
    const isChanged = (row) => this.network_label[row] !== this.label[row];
    const [changed, corrected] = [looked, given].map((rows) => rows.filter(isChanged).length);
    const [n, rate] = [given.length, corrected / given.length];
    const middle = (rate + Z2 / (2 * n)) / (1 + Z2 / n);
    const half = Math.sqrt(rate * (1 - rate) * Z2 / n + (Z2 / (2 * n)) ** 2) / (1 + Z2 / n);
    return {
      looked: looked.length, all: this.path.length, changed, given: n, corrected,
      low: middle - half, high: middle + half,
    };
  }
}
