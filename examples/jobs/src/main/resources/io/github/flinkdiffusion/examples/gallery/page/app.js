// The page: three views on one stream of changes.
import * as compare from "./compare.js";
import { composer, reuse } from "./compose.js";
import * as detail from "./detail.js";
import { byId, toast } from "./dom.js";
import * as letters from "./letters.js";
import { follow, get } from "./server.js";
import * as wall from "./wall.js";

const TITLES = { wall: "Wall of images", compare: "Compare images", letters: "Dead letters" };

function view() {
  // Other hashes are places of the page, such as that of the skip link.
  if (location.hash !== "" && !location.hash.startsWith("#/")) return;
  const name = location.hash.slice(2) in TITLES ? location.hash.slice(2) : "wall";
  for (const each of Object.keys(TITLES)) byId("view-" + each).hidden = each !== name;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  byId("view-title").textContent = TITLES[name];
  document.title = `${TITLES[name]} · Flink Diffusion gallery`;
  if (name === "compare") compare.entered();
}

function theme() {
  const button = byId("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const chosen = localStorage.getItem("theme");
    const dark = chosen ? chosen === "dark" : system.matches;
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    button.setAttribute("aria-pressed", String(dark));
  };
  button.addEventListener("click", () => {
    localStorage.setItem("theme", document.documentElement.dataset.theme === "dark" ? "light" : "dark");
    apply();
  });
  system.addEventListener("change", apply);
  apply();
}

async function start() {
  theme();
  let config;
  try {
    config = await get("/api/config");
  } catch (error) {
    toast(error.message, "error");
    setTimeout(start, 3000);
    return;
  }
  composer(config);
  wall.wall(config, detail.show);
  detail.detail(config, (record) => {
    location.hash = "#/wall";
    reuse(record);
  });
  compare.compare();
  letters.deadLetters(config);
  addEventListener("hashchange", view);
  view();
  follow({
    state: (state) => {
      byId("live").dataset.state = state;
      byId("live-text").textContent = state === "on" ? "live" : "connecting";
    },
    snapshot: (snapshot) => {
      wall.reset(snapshot);
      letters.reset(snapshot.deadLetters);
      compare.tally(snapshot.tally);
    },
    waiting: wall.request,
    result: wall.result,
    failure: (letter) => {
      if (letter.id !== null) wall.gone(letter.id);
      letters.failure(letter);
      const cancelled = letter.reason === "CANCELLED";
      toast(cancelled ? "Cancelled." : `Failed: ${letter.message}`, cancelled ? "info" : "error");
    },
    resent: letters.resent,
    tally: compare.tally,
    replay: detail.replay,
    unreadable: wall.unreadable,
  });
}

start();
