// Every text on the page. To translate the page, translate this file.

const LANG = "en";
const integer = new Intl.NumberFormat(LANG);
const percent = new Intl.NumberFormat(LANG, { style: "percent", maximumFractionDigits: 1 });
const bytes = new Intl.NumberFormat(LANG, { notation: "compact", style: "unit", unit: "byte" });

const photos = (number) => (number === 1 ? "1 photo" : `${count(number)} photos`);
const files = (number) => (number === 1 ? "1 file" : `${count(number)} files`);
// From the counts of files by label: "58 photos and 2 sidecar files".
const both = ({ sidecar = 0, ...labels }) => {
  const number = Object.values(labels).reduce((sum, one) => sum + one, 0);
  return `${photos(number)}${sidecar ? ` and ${count(sidecar)} sidecar ${sidecar === 1 ? "file" : "files"}` : ""}`;
};
// "Moved 58 photos and 2 sidecar files.", of a job or of what it left to undo.
const did = ({ kind, action, counts }) => {
  const what = kind === "undo"
    ? { move: "Put back", copy: "Removed the copies of" }[action] ?? "Removed the links to"
    : { move: "Moved", copy: "Copied" }[action] ?? "Linked";
  return `${what} ${both(counts)}.`;
};
export const count = (number) => integer.format(number);
export const size = (number) => bytes.format(number);
const share = (value) => percent.format(value);
// Rounded down, because 99.7% is not "100% sure".
export const sure = (confidence) => `${Math.floor(confidence * 100 + 1e-9)}%`;

// File names may hold anything: characters that are invisible or reverse the text are escaped.
export const printable = (text) => (text ?? "").replace(
  /[\p{Cc}\p{Cs}\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu,
  (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`);
export const baseName = (path) => printable(path.split(path.includes("/") ? "/" : "\\").at(-1));

export const words = {
  lang: LANG,
  labels: ["dog", "cat", "neither", "unsure", "failed"],
  filters: {
    all: "All", unsure: "Unsure", dog: "Dog", cat: "Cat", neither: "Neither", failed: "Failed",
    looked: "Reviewed",
  },
  orders: { doubt: "Least sure first", path: "By folder", old: "Oldest first", young: "Newest first" },

  // The page's elements, by their data-word (text) or data-label (spoken, and shown as a hint).
  dog: "Dog", cat: "Cat", neither: "Neither", unsure: "Unsure", right: "Right",
  confirm: "right", rightHint: "The label is right (R)", allRight: "All shown are right", setLabel: "Set the label",
  allRightHint: "Confirm every photo that is fully on screen, or every selected one (Shift+A)",
  undo: "Undo", undoHint: "Undo the last correction (Ctrl+Z)", keys: "Shortcuts", file: "File photos",
  done: "Done", close: "Close", clear: "Clear", view: "View", viewHint: "View options", filter: "Show", order: "Sort",
  search: "Search by name", upTo: "Confidence", tileSize: "Photo size",
  fit: "Whole photos", refresh: "Sort again, and drop photos that no longer match (S)",
  photosHere: "Photos", opening: "Opening the table…", previous: "Previous (←)", next: "Next (→)",
  zoomIn: "Zoom in (+)", zoomOut: "Zoom out (-)", large: "Large view", how: "What to do",
  move: "Move into the dog and cat folders", copy: "Copy into the dog and cat folders",
  link: "Put links in the dog and cat folders", alsoFile: "Also file", stop: "Stop",
  mouseHint: "Drag across photos to select them; on a touchscreen, " +
    "hold first. Double-click or tap a photo to enlarge it. Shift-click selects a range, " +
    "Ctrl-click a single photo.",
  keyList: {
    "D C N U": "label dog, cat, neither or unsure; next photo", R: "the label is right; next photo",
    "Shift+A": "all shown are right; next screen", "← ↑ ↓ →": "move; with Shift, select",
    Space: "select or deselect", "Ctrl+A": "select all", Enter: "large view",
    Esc: "deselect all; close the large view", "Ctrl+Z": "undo, as often as you like",
    "+ -": "larger or smaller; in the large view, Shift and arrows move the photo",
    S: "sort again", "/": "search", "?": "show these shortcuts",
  },
  begin: "Press D, C, N or U to correct a label, R if it is right.",
  beginTouch: "Tap a photo to enlarge it, hold to select it.",

  saved: "Saved", saving: "Saving…", problem: "Not saved",
  savedIn: (table) => `All corrections are in ${table}`,
  notSaved: (rows, why) => `Not saved: ${photos(rows)}. Trying again. ${why}`,
  readOnly: (why) => `Corrections cannot be saved. ${why}`,
  gone: "dogsort has stopped or cannot be reached.",
  refused: (status) => `dogsort refused this (${status}).`,
  lapsed: "This page is no longer valid. Open the address that dogsort printed.",
  stopped: (table) => `dogsort has stopped. What was shown as saved is in ${table}. To continue, run ` +
    "dogsort review again.",
  reloaded: "Another program changed the table, so it was read again.",
  ended: (table, filed) => `Done. Your corrections are in ${table}. You can close this page.` +
    (filed ? ` ${did(filed)} To undo that, run: ${filed.command}` : ""),
  unsavedEnd: "Some corrections are not saved yet. Finish anyway?",

  running: (done, expected) => `Classifying: ${count(done)}${expected ? ` of ${count(expected)}` : ""}`,
  finished: (job) => {
    const { found, done, failures, message } = job;
    const lines = [...found.map(printable), done > failures && did(job),
      failures && `Failed: ${files(failures)}.`, printable(message)].filter(Boolean);
    return lines.length ? lines : [words.plan.nothing];
  },
  undoable: (filed) => ({
    textContent: `Undo the last filing (${both({ ...filed.counts, sidecar: 0 })})`,
    title: `${new Date(filed.started).toLocaleString(LANG)}: ${did(filed)}`,
  }),
  progress: ({ kind, done, total }) =>
    `${kind === "undo" ? "Undoing" : "Filing"}: ${count(done)} of ${count(total)}`,
  tally: ({ looked, all, changed }) => `${count(looked)} of ${count(all)} reviewed, ${count(changed)} changed`,
  tallyHint: ({ given, corrected, low, high }) => (given ? `Of ${photos(given)} that you reviewed and dogsort ` +
    `had labelled dog, cat or neither, ${count(corrected)} had a wrong label: ${share(corrected / given)}, ` +
    `with a 95% interval of ${share(low)} to ${share(high)}` : ""),
  selected: (number) => `${count(number)} selected`,
  upToValue: (limit) => (limit === 1 ? "any" : `up to ${share(limit)}`),
  listed: photos,
  labelled: (what, label) => `${what}: ${label}`,
  undone: (number) => (number ? `Undone: ${photos(number)}` : "Nothing to undo"),
  chip: (label, byYou, likeliest, confidence) =>
    byYou ? `${label} ✓` : likeliest ? `${label} (${likeliest} ${confidence})` : `${label} ${confidence}`,
  tile: (parts) => parts.filter(Boolean).join(", ").replace(" ✓", ""), // it would be read out
  byYou: "set by you",
  network: (label) => `dogsort said ${label}`,
  chances: (dog, cat, neither) => `dog ${dog}, cat ${cat}, neither ${neither}`,
  pixels: (width, height) => `${count(width)} × ${count(height)}`,
  filed: (place) => `in ${place}`,
  place: (position, total) => `${count(position)} of ${count(total)}`,
  unreadable: "cannot be shown",
  empty: "No photos here.", emptyRunning: "Photos appear here as they are classified.",
  working: "Working…", example: "What goes where",
  plan: {
    goes: (number, place) => `${photos(number)} to ${place.replace(/^\.\//, "")}`,
    nothing: "There is nothing to file.",
    sidecars: (number) => `Sidecar files that go with their photos: ${count(number)}`,
    conflicts: (number) => `${photos(number)} renamed, because the name is taken`,
    already: (number) => `${photos(number)} left in place: an identical one is there`,
    in_place: (number) => `${photos(number)} already there`,
    stays: (number) => `${photos(number)} left in place`,
    failed: (number) => `${photos(number)} cannot be filed`,
  },
  doIt: (action, number) => `${{ move: "Move", copy: "Copy", link: "Link" }[action]} ${photos(number)}`,
};
