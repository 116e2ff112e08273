// Blind votes: two images, one question, one answer.
import { announce, byId, el, toast } from "./dom.js";
import { post } from "./server.js";

const QUESTIONS = {
  REALISM: "Which one looks more like a photograph of something real?",
  COHERENCE: "Whose parts fit together better?",
  PROMPT: "Which one shows better what was asked for?",
  APPEAL: "Which one do you like better?",
};

let ballot = null;
let drawing = 0;

function voter() {
  let name = localStorage.getItem("voter");
  if (!name) {
    name = crypto.randomUUID();
    localStorage.setItem("voter", name);
  }
  return name;
}

const criterion = () => document.querySelector('[name="criterion"]:checked').value;

export function compare() {
  byId("criteria").addEventListener("change", draw);
  byId("next").addEventListener("click", draw);
  for (const button of document.querySelectorAll(".choice")) {
    button.addEventListener("click", () => vote(button.dataset.choice));
  }
  document.addEventListener("keydown", (event) => {
    if (byId("view-compare").hidden || event.target.matches("input, textarea, select") || event.altKey || event.ctrlKey || event.metaKey) return;
    const choice = { ArrowLeft: "FIRST", ArrowDown: "TIE", ArrowRight: "SECOND" }[event.key];
    if (choice && ballot) {
      event.preventDefault();
      vote(choice);
    } else if (event.key === " " && !byId("after").hidden && event.target !== byId("next")) {
      event.preventDefault();
      draw();
    }
  });
}

/** Called when the view comes up. */
export function entered() {
  if (!ballot && byId("after").hidden) draw();
}

async function draw() {
  const number = ++drawing;
  byId("question").textContent = QUESTIONS[criterion()];
  ballot = null;
  try {
    const drawn = await post("/api/ballots", { criterion: criterion() });
    if (number !== drawing) return;
    ballot = drawn.ballot;
    byId("asked").hidden = drawn.prompt === "";
    byId("asked").textContent = `“${drawn.prompt}”`;
    for (const [side, label] of [["first", "A"], ["second", "B"]]) {
      byId(side).src = `/api/ballots/${ballot}/${side}`;
      byId(side + "-said").textContent = label;
      byId(side).closest("figure").classList.remove("chosen");
    }
    stage("pair");
    announce(QUESTIONS[criterion()]);
  } catch (error) {
    if (number !== drawing) return;
    byId("no-pair").textContent = error.message;
    byId("asked").hidden = true;
    stage("none");
  }
}

function stage(which) {
  byId("no-pair").hidden = which !== "none";
  byId("pair").hidden = which === "none";
  byId("ballot").hidden = which !== "pair";
  byId("after").hidden = which !== "voted";
}

const told = (label, subject) => `${label}: ${subject.real ? "real image" : subject.model}`;

async function vote(choice) {
  const given = ballot;
  ballot = null;
  try {
    const revealed = await post("/api/votes", { ballot: given, choice, voter: voter() });
    byId("first-said").textContent = told("A", revealed.first);
    byId("second-said").textContent = told("B", revealed.second);
    if (choice !== "TIE") byId(choice.toLowerCase()).closest("figure").classList.add("chosen");
    stage("voted");
    byId("next").focus();
    announce(`Vote counted. ${told("A", revealed.first)}. ${told("B", revealed.second)}.`);
  } catch (error) {
    toast(error.message, "error");
    ballot = given;
  }
}

export function tally(rows) {
  byId("no-votes").hidden = rows.length > 0;
  byId("tally").hidden = rows.length === 0;
  byId("tally").replaceChildren(el("table", {},
    el("thead", {}, el("tr", {}, ["Criterion", "Image", "against", "better", "no difference", "worse"].map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, rows.map((row) => el("tr", {},
      el("td", {}, row.criterion.charAt(0) + row.criterion.slice(1).toLowerCase()),
      el("td", {}, row.one), el("td", {}, row.other),
      row.same
        ? el("td", { colspan: 3 }, `Votes among images of one model: ${row.better + row.ties + row.worse}`)
        : [row.better, row.ties, row.worse].map((count) => el("td", { class: "number" }, String(count))))))));
}
