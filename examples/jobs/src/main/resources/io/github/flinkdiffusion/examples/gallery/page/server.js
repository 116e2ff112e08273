// How the page talks to its server.

const token = document.querySelector('meta[name="csrf-token"]').content;

async function answer(response) {
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(body.error || `The server answered ${response.status}.`);
  return body;
}

async function ask(address, options) {
  let response;
  try {
    response = await fetch(address, options);
  } catch {
    throw new Error("The gallery does not answer. Does examples/gallery still run?");
  }
  return answer(response);
}

export const get = (address) => ask(address, { headers: { Accept: "application/json" } });

export const post = (address, body) =>
  ask(address, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-CSRF-Token": token },
    body: JSON.stringify(body),
  });

export const postFile = (address, file) =>
  ask(address, {
    method: "POST",
    headers: { "Content-Type": "application/octet-stream", "X-CSRF-Token": token },
    body: file,
  });

const TYPES = ["waiting", "result", "failure", "resent", "tally", "replay", "unreadable"];

/**
 * Loads the wall, then follows its changes in their order. A gap, or another run of the server,
 * loads it anew.
 *
 * @param handlers one for "snapshot", one for each type of change, and "state"
 */
export function follow(handlers) {
  let source = null;
  let wait = 500;
  const again = () => {
    source?.close();
    handlers.state("off");
    setTimeout(load, wait);
    wait = Math.min(8000, wait * 2);
  };
  async function load() {
    try {
      const snapshot = await get("/api/wall");
      handlers.snapshot(snapshot);
      source = new EventSource(`/api/events?after=${snapshot.run}.${snapshot.number}`);
      source.onopen = () => {
        wait = 500;
        handlers.state("on");
      };
      // The browser connects again by itself, with the last number, unless it was refused.
      source.onerror = () => {
        handlers.state("off");
        if (source.readyState === EventSource.CLOSED) again();
      };
      source.addEventListener("reset", again);
      for (const type of TYPES) {
        source.addEventListener(type, (event) => handlers[type](JSON.parse(event.data)));
      }
    } catch {
      again();
    }
  }
  load();
}
