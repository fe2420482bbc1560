// The filing dialog: the plan as --dry-run shows it, one question, progress, undo.

import { ask, make } from "./api.js";
import { printable, words } from "./words.js";

const LESS = ["sidecars", "conflicts", "already", "in_place", "stays", "failed"]; // of the plan

const list = (tag, texts, className = "") =>
  make(tag, { className }, ...texts.map((text) => make("li", {}, text)));
const failures = (failed) =>
  list("ul", failed.map(([path, why]) => `${printable(path)}: ${printable(why)}`), "failures");

export class Filing {
  job = { number: 0, finished: true }; // the latest one known here; answers may arrive late
  asked = null; // the choice whose plan is shown; null while a job is shown
  undoable = null; // what Undo would undo, as last heard

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
    const { job } = this.album;
    if (job && !job.finished && this.progress(job)) return;
    if (job?.number >= this.job.number) this.job = job;
    this.#ask();
  }

  async #ask() {
    const asked = this.asked = this.choice; // only the latest answer counts
    const go = this.#shows("go", [words.working]);
    Object.assign(go, { disabled: true, textContent: words.file });
    let plan;
    try {
      await this.settled();
      plan = await ask("/plan", asked);
    } catch (problem) {
      return this.asked === asked && this.plan.replaceChildren(list("ul", [problem.message], "failures"));
    }
    if (this.asked !== asked) return;
    this.undoable = plan.undoable;
    this.#shows("go", []);
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
    this.asked = this.undoable = null; // a plan that is still on its way is out of date
    this.#shows("", [words.working]);
    try {
      this.progress(await ask(path, body));
    } catch (problem) {
      this.plan.replaceChildren(list("ul", [problem.message], "failures"));
    }
  }

  // Show how far the job is; called whenever the server reports on it. Return whether it is shown.
  progress(job) {
    const { number, finished } = this.job;
    const isOld = !job || job.number < number || (job.number === number && finished);
    if (isOld || !this.dialog.open) return false;
    Object.assign(this, { job, asked: null, undoable: job.undoable });
    this.#shows(job.finished ? "" : "stop", job.finished ? words.finished(job) : [words.progress(job)]);
    Object.assign(this.find("progress"), { max: job.total || 1, value: job.done });
    if (job.finished) this.plan.append(failures(job.failed));
    return true;
  }

  // The server cannot be reached, which the page says; what is shown of a job is out of date.
  lost() {
    if (!this.find(".stop").hidden) this.dialog.close();
  }

  // Show texts, and beside Close the button of this name; return the one that files.
  #shows(name, texts) {
    this.form.hidden = name !== "go";
    this.find("progress").hidden = name !== "stop";
    this.plan.replaceChildren(...texts.map((text) => make("p", {}, text)));
    for (const other of ["stop", "go"]) this.find(`.${other}`).hidden = other !== name;
    const { undoable } = this;
    Object.assign(this.find(".undo"), { hidden: !undoable, ...(undoable && words.undoable(undoable)) });
    if (!this.dialog.contains(document.activeElement)) this.find(".close").focus();
    return this.find(".go");
  }
}
