// The filing dialog: the plan as --dry-run shows it, one question, progress, undo.

import { ask, make } from "./api.js";
import { printable, words } from "./words.js";

const LESS = ["sidecars", "conflicts", "already", "in_place", "stays", "failed"]; // of the plan

const list = (tag, texts, className = "") =>
  make(tag, { className }, ...texts.map((text) => make("li", {}, text)));
const failures = (failed) =>
  list("ul", failed.map(([path, why]) => `${printable(path)}: ${printable(why)}`), "failures");

export class Filing {
  // settled() resolves when all corrections are saved.
  constructor(dialog, album, settled) {
    const find = (name) => dialog.querySelector(name);
    Object.assign(this, { dialog, album, settled, find, form: find("form"), plan: find(".plan") });
    this.form.addEventListener("change", () => this.#ask());
    const click = (name, act) => find(`button.${name}`).addEventListener("click", act);
    click("close", () => dialog.close());
    click("go", () => this.#start("/file", this.choice));
    click("undo", () => this.#start("/file/undo", {}));
    click("stop", () => ask("/file/stop", {}).catch(() => {}));
  }

  get choice() {
    const { action, neither, unsure } = this.form.elements;
    return {
      generation: this.album.generation, action: action.value, neither: neither.checked,
      unsure: unsure.checked,
    };
  }

  open() {
    this.dialog.showModal();
    if (this.album.job && !this.album.job.finished) this.progress(this.album.job);
    else this.#ask();
  }

  async #ask() {
    const asked = this.asked = this.choice; // only the latest answer counts
    const go = this.#shows("go", words.working);
    Object.assign(go, { disabled: true, textContent: words.file });
    let plan;
    try {
      await this.settled();
      plan = await ask("/plan", asked);
    } catch (problem) {
      return this.asked === asked && this.plan.replaceChildren(list("ul", [problem.message], "failures"));
    }
    if (this.asked !== asked) return;
    const goes = Object.entries(plan.counts).filter(([, number]) => number);
    const total = goes.reduce((sum, [, number]) => sum + number, 0);
    Object.assign(go, { disabled: !total, textContent: words.doIt(asked.action, total) });
    const texts = goes.map(([label, number]) =>
      words.plan.goes(number, printable(`${plan.folder}/${label}`)));
    const less = LESS.filter((name) => plan[name]).map((name) => words.plan[name](plan[name]));
    const steps = plan.steps.map(([source, target]) => `${printable(source)} → ${printable(target)}`);
    this.plan.replaceChildren(list("ul", total ? texts : [words.plan.nothing]), list("ul", less, "less"),
      failures(plan.failures),
      total ? make("details", {}, make("summary", {}, words.example), list("ol", steps)) : "");
  }

  async #start(path, body) {
    try {
      this.progress(await ask(path, body));
    } catch (problem) {
      this.plan.replaceChildren(list("ul", [problem.message], "failures"));
    }
  }

  // Show how far the job is; called whenever the server reports on it.
  progress(job) {
    if (!job || !this.dialog.open || (job.finished && !this.find(".go").hidden)) return;
    const { kind, total, done, finished, failed, message } = job;
    this.#shows(finished ? kind === "file" && done && "undo" : "stop", finished ? message || words.finished(job) : words.progress(job));
    Object.assign(this.find("progress"), { max: total || 1, value: finished ? total || 1 : done });
    if (finished) this.plan.append(failures(failed));
  }

  // Show a text, and beside Close the button of this name; return it.
  #shows(name, text) {
    this.form.hidden = name !== "go";
    this.find("progress").hidden = name === "go";
    this.plan.replaceChildren(make("p", {}, text));
    for (const other of ["stop", "undo", "go"]) this.find(`.${other}`).hidden = other !== name;
    if (!this.dialog.contains(document.activeElement)) this.find(".close").focus();
    return this.find(".go");
  }
}
