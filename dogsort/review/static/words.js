// All that the page says. To translate the page, translate this file.

const LANG = "en";
const integer = new Intl.NumberFormat(LANG);
const percent = new Intl.NumberFormat(LANG, { style: "percent", maximumFractionDigits: 1 });
const bytes = new Intl.NumberFormat(LANG, { notation: "compact", style: "unit", unit: "byte" });

const photos = (number) => (number === 1 ? "1 photo" : `${count(number)} photos`);
export const count = (number) => integer.format(number);
export const size = (number) => bytes.format(number);
const share = (value) => percent.format(value);
// Rounded down, because 99.7% is not "100% sure".
export const sure = (confidence) => `${Math.floor(confidence * 100 + 1e-9)}%`;

// Names of files hold anything: what cannot be seen, or turns the text round, is escaped.
export const printable = (text) => (text ?? "").replace(
  /[\p{Cc}\p{Cs}\u200e\u200f\u2028-\u202e\u2066-\u2069]/gu,
  (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`);
export const baseName = (path) => printable(path.split(path.includes("/") ? "/" : "\\").at(-1));

export const words = {
  lang: LANG,
  labels: ["dog", "cat", "neither", "unsure", "failed"],
  filters: {
    all: "All", unsure: "Unsure", dog: "Dog", cat: "Cat", neither: "Neither", failed: "Failed",
    looked: "Looked at",
  },
  orders: { doubt: "Least sure first", path: "By path", old: "Oldest first", young: "Newest first" },

  // The page's elements, by their data-word (text) or data-label (spoken, and shown as a hint).
  dog: "Dog", cat: "Cat", neither: "Neither", unsure: "Unsure", right: "Right",
  confirm: "right", rightHint: "The label is right (R)", allRight: "All shown are right", setLabel: "Set the label",
  allRightHint: "Confirm all photos that are wholly on the screen, or all selected ones (Shift+A)",
  undo: "Undo", undoHint: "Undo the last correction (Ctrl+Z)", keys: "Keys", file: "File photos",
  done: "Done", close: "Close", clear: "Clear", view: "View", viewHint: "View options", filter: "Which photos", order: "Order",
  search: "Search in paths", upTo: "Sure at most", tileSize: "Size of the pictures",
  fit: "Whole photos", refresh: "Sort again, and take out what no longer belongs here (S)",
  photosHere: "Photos", opening: "Opening the table…", previous: "Previous (←)", next: "Next (→)",
  zoomIn: "Zoom in (+)", zoomOut: "Zoom out (-)", large: "Large view", how: "How",
  move: "Move into folders dog and cat", copy: "Copy into folders dog and cat",
  link: "Link from folders dog and cat", alsoFile: "File these, too", stop: "Stop",
  undoFiling: "Undo filing", mouseHint: "Press and drag over photos to select them; with a finger, " +
    "hold first. Double-click or tap for the large view. Shift-click selects up to a photo, " +
    "Ctrl-click one.",
  keyList: {
    "D C N U": "label dog, cat, neither or unsure, and go on", R: "the label is right; go on",
    "Shift+A": "all shown are right; next screen", "← ↑ ↓ →": "move; with Shift, select",
    Space: "select or unselect", "Ctrl+A": "select the whole list", Enter: "large view",
    Esc: "unselect all; leave the large view", "Ctrl+Z": "undo, as often as you like",
    "+ -": "larger, smaller; in the large view, Shift and arrows move the picture",
    S: "sort again", "/": "search in paths", "?": "these keys",
  },
  begin: "Press D, C, N or U to correct a photo, R if it is right.",
  beginTouch: "Tap a photo to see it large, hold to select.",

  saved: "Saved", saving: "Saving…", problem: "Not saved",
  savedIn: (table) => `Every correction is in ${table}`,
  notSaved: (rows, why) => `Not saved: ${photos(rows)}. ${why} Trying again.`,
  readOnly: (why) => `Corrections cannot be saved. ${why}`,
  gone: "dogsort has stopped or cannot be reached.",
  refused: (status) => `dogsort refuses this (${status}).`,
  lapsed: "This page is no longer valid. Open the address that dogsort printed.",
  stopped: (table) => `dogsort has stopped. What was shown as saved is in ${table}. To go on, start ` +
    "dogsort review again.",
  reloaded: "The table was changed by another program and was read again.",
  ended: (table) => `Done. Your corrections are in ${table}. You can close this page.`,
  unsavedEnd: "Some corrections are not saved yet. End all the same?",

  running: (done, expected) => `Classifying: ${count(done)}${expected ? ` of ${count(expected)}` : ""}`,
  finished: ({ kind, done }) => `${kind === "undo" ? "Put back" : "Filed"}: ${count(done)} files.`,
  progress: ({ kind, done, total }) =>
    `${kind === "undo" ? "Undoing" : "Filing"}: ${count(done)} of ${count(total)}`,
  tally: ({ looked, given, corrected, low, high }) => {
    const of = given === looked ? "" : ` of ${count(given)} labelled`;
    const rates = `${share(corrected / given)}, ${share(low)} to ${share(high)}`;
    return `You looked at ${count(looked)}${given ? `, corrected ${count(corrected)}${of} (${rates})` : ""}`;
  },
  tallyHint: "How often the network was wrong on photos that it had labelled dog, cat or neither " +
    "and that you looked at, with the 95% interval",
  selected: (number) => `${count(number)} selected`,
  upToValue: (limit) => (limit === 1 ? "any" : share(limit)),
  listed: photos,
  labelled: (what, label) => `${what}: ${label}`,
  undone: (number) => (number ? `Undone: ${photos(number)}` : "Nothing to undo"),
  chip: (label, byYou, likeliest, confidence) =>
    byYou ? `${label} ✓` : likeliest ? `${label} (${likeliest} ${confidence})` : `${label} ${confidence}`,
  tile: (parts) => parts.filter(Boolean).join(", ").replace(" ✓", ""), // it would be read out
  byYou: "set by you",
  network: (label) => `the network said ${label}`,
  chances: (dog, cat, neither) => `dog ${dog}, cat ${cat}, neither ${neither}`,
  pixels: (width, height) => `${count(width)} × ${count(height)}`,
  filed: (place) => `filed: ${place}`,
  place: (position, total) => `${count(position)} of ${count(total)}`,
  unreadable: "cannot be shown",
  empty: "No photos here.", emptyRunning: "Photos appear here as they are classified.",
  working: "Working…", example: "What goes where",
  plan: {
    goes: (number, place) => `${photos(number)} to ${place.replace(/^\.\//, "")}`,
    nothing: "No photo is to be filed.",
    sidecars: (number) => `Sidecar files that go with their photos: ${count(number)}`,
    conflicts: (number) => `${photos(number)} under a new name, because the old one is taken`,
    already: (number) => `${photos(number)} left in place: the same one is there`,
    in_place: (number) => `${photos(number)} already there`,
    stays: (number) => `${photos(number)} left in place`,
    failed: (number) => `${photos(number)} cannot be filed`,
  },
  doIt: (action, number) => `${{ move: "Move", copy: "Copy", link: "Link" }[action]} ${photos(number)}`,
};
