// The large view: one photo, zoom, pan, facts; the next and previous photos are preloaded.
// Panning is scrolling, and two fingers zoom as on any page.

import { LABELS } from "./album.js";
import { ask } from "./api.js";
import { baseName, printable, size, sure, words } from "./words.js";

const MOST = 12; // times the size that fits
const REST = 80; // milliseconds on a photo before it is loaded in full
const PREVIEW = 640; // pixels; of the picture shown until the photo is there
const SWIPE = 60; // pixels

export class Viewer {
  #ahead = [];
  scale = 1;

  constructor(dialog, album, grid) {
    const find = (name) => dialog.querySelector(name);
    const [stage, image, why] = [find(".stage"), find(".stage img"), find(".why")];
    Object.assign(this, { dialog, album, grid, find, stage, image, why });
    const click = (name, act) => find(name).addEventListener("click", act);
    click(".close", () => dialog.close());
    click(".previous", () => this.step(-1));
    click(".next", () => this.step(1));
    click(".in", () => this.zoom(1.4));
    click(".out", () => this.zoom(1 / 1.4));
    dialog.addEventListener("close", () => this.#forget());
    image.addEventListener("error", () => this.#cannot(words.unreadable));
    stage.addEventListener("wheel", (event) => {
      event.preventDefault();
      this.zoom(Math.exp(-event.deltaY / (event.ctrlKey ? 100 : 400)), event); // Ctrl: two fingers
    }, { passive: false });
    stage.addEventListener("dblclick", (event) => this.zoom(this.scale > 1 ? 0 : 2.5, event));
    stage.addEventListener("pointermove", (event) => {
      if (event.buttons && event.pointerType !== "touch") this.pan(-event.movementX, -event.movementY);
    });
    let start;
    stage.addEventListener("touchstart", ({ touches }) => {
      const isZoomed = touches.length > 1 || this.scale > 1 || visualViewport.scale > 1.01;
      start = isZoomed ? null : touches[0].clientX;
    }, { passive: true });
    stage.addEventListener("touchend", ({ changedTouches }) => {
      const across = start === null ? 0 : changedTouches[0].clientX - start;
      if (Math.abs(across) > SWIPE) this.step(across < 0 ? 1 : -1);
    });
  }

  open() {
    if (!this.grid.view.length) return;
    this.dialog.showModal();
    this.show();
  }

  step(by) {
    const moved = this.grid.moveTo(this.grid.active + by);
    if (moved) this.show();
    return moved;
  }

  // Show the grid's active photo.
  show() {
    this.#forget();
    const { row } = this.grid;
    const error = printable(this.album.error[row]);
    this.row = row;
    this.zoom(0);
    this.image.alt = baseName(this.album.path[row]);
    this.why.textContent = "";
    if (error) this.#cannot(error);
    else this.image.src = this.album.address("thumbnail", row, PREVIEW);
    this.timer = setTimeout(() => this.#load(row), REST);
    this.paint();
  }

  async #load(row) {
    ask(this.album.address("facts", row)).then((facts) => this.row === row && this.paint(facts), () => {});
    if (this.album.error[row]) return;
    const full = this.#fetch(row);
    if (!(await full.decode().then(() => this.row === row, () => false))) return;
    this.image.src = full.src;
    const { view, active } = this.grid;
    for (const near of [view[active + 1], view[active - 1]]) if (near >= 0) this.#fetch(near);
  }

  #fetch(row) {
    const image = Object.assign(new Image(), { src: this.album.address("photo", row) });
    this.#ahead.push(image);
    return image;
  }

  // Cancel what is still loading; keep the latest pictures.
  #forget() {
    clearTimeout(this.timer);
    for (const image of this.#ahead) if (!image.complete) image.removeAttribute("src");
    this.#ahead = this.#ahead.filter((image) => image.complete).slice(-3);
    this.image.removeAttribute("src");
    this.row = this.facts = undefined;
  }

  #cannot(reason) {
    this.image.removeAttribute("src");
    this.why.textContent = `${this.image.alt}: ${reason}`;
  }

  paint(facts = this.facts) {
    const { album, grid, row } = this;
    if (row === undefined) return;
    this.facts = facts;
    const [label, given, chances] = [album.label[row], album.network_label[row], album.chances(row)];
    this.find(".place").textContent = words.place(grid.active + 1, grid.view.length);
    this.find(".path").textContent = printable(album.path[row]);
    this.find(".chip").textContent = words.labels[label];
    this.find(".chip").className = `chip ${LABELS[label]}`;
    this.find(".facts").textContent = [
      given >= 0 && words.byYou, given >= 0 && given !== label && words.network(words.labels[given]),
      chances && words.chances(...chances.map(sure)), facts?.date,
      facts?.width && words.pixels(facts.width, facts.height), facts?.format,
      facts && size(facts.bytes), album.place(row) && words.filed(printable(album.place(row))),
    ].filter(Boolean).join(" · ");
  }

  // Zoom by a factor, or fit with 0; the point under the pointer, or the middle, stays put.
  zoom(by, { clientX, clientY } = {}) {
    const { left, top, width, height } = this.stage.getBoundingClientRect();
    const [x, y] = clientX === undefined ? [width / 2, height / 2] : [clientX - left, clientY - top];
    const scale = Math.max(1, Math.min(this.scale * by, MOST));
    const times = scale / this.scale;
    const [toX, toY] = [(this.stage.scrollLeft + x) * times - x, (this.stage.scrollTop + y) * times - y];
    this.image.style.width = this.image.style.height = `${scale * 100}%`;
    this.stage.scrollTo(toX, toY);
    this.scale = scale;
  }

  pan(x, y) {
    this.stage.scrollBy(x, y);
  }
}
