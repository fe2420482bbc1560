// Talking to the server that this page came from.

import { words } from "./words.js";

const PATIENCE = 60_000; // milliseconds; planning a large album takes some seconds

export class Problem extends Error {
  constructor(status, message) {
    super(message);
    this.status = status; // 0 if there was no answer
  }
}

export async function ask(path, body) {
  const options = { signal: AbortSignal.timeout(PATIENCE) };
  if (body !== undefined) {
    options.method = "POST";
    options.headers = { "Content-Type": "application/json" };
    options.body = JSON.stringify(body);
  }
  let answer, said;
  try {
    answer = await fetch(path, options);
    said = await answer.json();
  } catch {
    if (!answer || answer.ok) throw new Problem(0, words.gone);
  }
  if (answer.status === 401 || answer.status === 403) throw new Problem(403, words.lapsed);
  if (!answer.ok) throw new Problem(answer.status, said?.error ?? words.refused(answer.status));
  return said;
}

export const pause = (milliseconds) => new Promise((go) => setTimeout(go, milliseconds));
