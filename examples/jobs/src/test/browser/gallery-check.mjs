// Copyright the Flink Diffusion authors
// SPDX-License-Identifier: Apache-2.0
//
// Uses examples/gallery as a person does, in Chromium, and says what works. Not part of the build:
//
//   npm install --no-save playwright-core axe-core      # in any folder; run this from there
//   examples/gallery --port 8090 --real examples/models/mini-satellite-x4/inputs
//   node gallery-check.mjs http://localhost:8090 --fill 1000 --screenshots docs/gallery
//
// `--only wall` makes only the checks that have this in their names. CHROMIUM names the browser (default: /usr/bin/chromium), FOLDER_OF_MODULES where npm put the two.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { fileURLToPath } from "node:url";

const require = createRequire(path.resolve(process.env.FOLDER_OF_MODULES ?? ".", "x.js"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const home = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../../../../..");
const [address, ...rest] = process.argv.slice(2);
const option = (name, otherwise) => (rest.includes(name) ? rest[rest.indexOf(name) + 1] : otherwise);
const fill = Number(option("--fill", "0"));
const screenshots = option("--screenshots", null);
const only = option("--only", "");
const PATIENCE = Number(option("--patience", "180")) * 1000;

let failed = 0;
const problems = [];

async function check(what, how) {
  if (!what.includes(only)) return;
  const begin = Date.now();
  try {
    const said = await how();
    console.log(`ok    ${what}${said ? `: ${said}` : ""} (${((Date.now() - begin) / 1000).toFixed(1)} s)`);
  } catch (error) {
    failed++;
    console.log(`FAIL  ${what}: ${error.message}`);
  }
}

function must(true_, otherwise) {
  if (!true_) throw new Error(otherwise);
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox"],
});
const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, deviceScaleFactor: 1 });
const page = await context.newPage();
page.setDefaultTimeout(PATIENCE);
page.on("pageerror", (error) => problems.push(`error: ${error.message}`));
page.on("console", (message) => {
  // Refusals that the check asks for are also written to the console.
  if (message.type() === "error" && !/status of 4\d\d/.test(message.text())) problems.push(message.text());
});

const goTo = (view) => page.goto(`${address}/#/${view}`);
const cards = () => page.locator("#wall > li").count();
const total = async () => Number((await page.locator("#result-count").textContent()).replace(/\D/g, ""));

async function prompt(text, options = {}) {
  await goTo("wall");
  const form = page.locator("#prompt-form");
  if (!(await form.locator("details").evaluate((details) => details.open))) await form.locator("summary").click();
  for (const name of ["count", "steps", "seed", "guidance", "scheduler", "negativePrompt"]) {
    await form.locator(`[name=${name}]`).fill(String(options[name] ?? (name === "count" ? 1 : "")));
  }
  await page.locator("#prompt").fill(text);
  await page.locator("#prompt").press("Enter");
}

async function accessible(where) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  const serious = found.violations.filter((each) => ["serious", "critical"].includes(each.impact));
  must(serious.length === 0, `${where}: ` + serious.map((each) =>
    `${each.id} (${each.impact}): ${each.nodes.slice(0, 3).map((node) => node.target.join(" ") + " " + node.failureSummary.split("\n")[1]).join("; ")}`).join(" | "));
  return `${where}: ${found.violations.length} lesser findings${found.violations.map((each) => " " + each.id).join(",")}`;
}

await check("the page follows its server", async () => {
  await goTo("wall");
  await page.locator('#live[data-state="on"]').waitFor();
});

await check("results of the topics are on the wall", async () => {
  await page.waitForFunction(() => document.querySelectorAll("#wall > li").length >= 16);
  return `${await total()} images`;
});

await check("a prompt is typed, its preview seen, and its image shown", async () => {
  const before = await total();
  await page.locator("body").press("/");
  must(await page.evaluate(() => document.activeElement.id === "prompt"), "'/' does not lead to the prompt");
  await prompt("a large octopus on a purple background", { steps: 120, seed: 3 });
  const request = page.locator(".request", { hasText: "large octopus" });
  await request.waitFor();
  await page.waitForFunction(() => [...document.querySelectorAll(".request img")].some((image) => !image.hidden && image.naturalWidth > 0));
  const said = await request.locator(".meta").textContent();
  if (screenshots) await page.screenshot({ path: `${screenshots}/progress-1440.png` });
  await page.waitForFunction((count) => Number(document.getElementById("result-count").textContent.replace(/\D/g, "")) > count, before);
  const image = page.locator("#wall > li").first().locator("img");
  await page.waitForFunction(() => document.querySelector("#wall > li img").naturalWidth > 0);
  must((await image.getAttribute("src")).startsWith("/api/results/"), "no image");
  return `preview at ${said}`;
});

await check("markup in a prompt is text", async () => {
  const text = "<script>window.pwned=1</script><img src=x onerror=window.pwned=1>";
  await prompt(text, { steps: 2 });
  const name = page.locator("#wall .name", { hasText: "<script>" }).first();
  await name.waitFor();
  must((await name.textContent()) === text, await name.textContent());
  await name.click();
  await page.locator("#detail h2", { hasText: "<script>" }).waitFor();
  must(await page.evaluate(() => window.pwned === undefined), "it ran");
  must((await page.locator("#wall script, #detail script, #detail img[src=x]").count()) === 0, "it became elements");
  await page.keyboard.press("Escape");
});

await check("an audit record is opened by keyboard, and the focus comes back", async () => {
  await page.locator("#search").fill("octopus");
  await page.locator("#wall > li:not([hidden]) button").first().focus();
  await page.keyboard.press("Enter");
  await page.locator("#detail dt", { hasText: "Model digest" }).waitFor();
  const record = await page.locator("#detail dl").first().innerText();
  must(/Seed\s+3/.test(record) && /Scheduler/.test(record), record);
  if (screenshots) await page.screenshot({ path: `${screenshots}/detail-1440.png` });
});

await check("it is replayed", async () => {
  await page.locator("#replay-button").click();
  await page.locator('#replay-said[data-verdict]:not([data-verdict=""])').waitFor();
  const said = await page.locator("#replay-said").textContent();
  must(/^(IDENTICAL|EQUAL|CLOSE)/.test(said), said);
  await page.keyboard.press("Escape");
  must(await page.evaluate(() => document.activeElement.matches("#wall button")), "the focus is elsewhere");
  await page.locator("#search").fill("");
  return said;
});

await check("an image is dropped, and its mask and uncertainty shown over it", async () => {
  const before = await total();
  await page.locator("#task").selectOption("segment");
  await page.locator("#file").setInputFiles(path.join(home, "examples/models/mini-brain-mask/inputs/slice-24.png"));
  await page.waitForFunction((count) => Number(document.getElementById("result-count").textContent.replace(/\D/g, "")) > count, before);
  await page.locator("#wall > li").first().locator("button").click();
  await page.waitForFunction(() => {
    const overlays = [...document.querySelectorAll("#detail .overlay")];
    return overlays.length === 2 && overlays.every((image) => image.naturalWidth > 0);
  });
  const slider = page.locator("#detail .mask input");
  await slider.focus();
  await slider.press("Home");
  must((await page.locator("#detail .overlay").first().evaluate((image) => image.style.opacity)) === "0", "the slider does nothing");
  for (let i = 0; i < 60; i++) await slider.press("ArrowRight");
  if (screenshots) await page.screenshot({ path: `${screenshots}/mask-1440.png` });
  await page.keyboard.press("Escape");
});

await check("before and after are compared", async () => {
  await page.locator("#search").fill("java.png");
  await page.locator("#wall > li:not([hidden]) button").first().click();
  const slider = page.locator("#detail .slider");
  await slider.waitFor();
  await slider.focus();
  await slider.press("ArrowRight");
  const cut = await page.locator("#detail .canvas").evaluate((canvas) => canvas.style.getPropertyValue("--cut"));
  must(cut === "51%", cut);
  await page.waitForFunction(() => [...document.querySelectorAll("#detail .canvas img")].every((image) => image.naturalWidth > 0));
  if (screenshots) await page.screenshot({ path: `${screenshots}/compare-slider-1440.png` });
  await page.keyboard.press("Escape");
  await page.locator("#search").fill("");
});

await check("a request is cancelled", async () => {
  await prompt("a large pizza on a green background", { steps: 1000 });
  const request = page.locator(".request", { hasText: "pizza" });
  await request.locator("button").click();
  await request.waitFor({ state: "detached" });
  await goTo("letters");
  await page.locator(".letter", { has: page.locator('[data-reason="CANCELLED"]') }).first().waitFor();
});

await check("a dead letter is sent again", async () => {
  await prompt("a small car on a red background", { scheduler: "NoSuchScheduler" });
  await goTo("letters");
  const letter = page.locator(".letter", { hasText: "NoSuchScheduler" });
  await letter.first().waitFor();
  await letter.first().locator("button").click();
  await page.locator(".letter", { hasText: "sent again once before" }).waitFor();
  await page.locator(".letter.resent", { hasText: "NoSuchScheduler" }).waitFor();
});

await check("a vote is cast, blind, and counted", async () => {
  await goTo("compare");
  await page.waitForFunction(() => ["first", "second"].every((id) => document.getElementById(id).naturalWidth > 0));
  const html = await page.locator("#pair").innerHTML();
  must(!/mini-|example-|gallery-|real/.test(html), "the page says what the images are: " + html);
  await page.keyboard.press("ArrowLeft");
  await page.locator("#after").waitFor();
  const said = await page.locator("#first-said").textContent();
  await page.locator("#tally tbody tr").first().waitFor();
  return said;
});

await check("generated images are voted on against real ones", async () => {
  for (let i = 0; i < 40; i++) {
    await page.keyboard.press(" ");
    await page.locator("#ballot").waitFor();
    await page.keyboard.press(["ArrowLeft", "ArrowDown", "ArrowRight"][i % 3]);
    await page.locator("#after").waitFor();
    const said = await page.locator("#pair").innerText();
    if (said.includes("real image")) return said.replace(/\s+/g, " ");
  }
  throw new Error("never");
});

if (fill > 0) {
  await check(`${fill} images are made and scrolled through`, async () => {
    const token = await page.locator('meta[name="csrf-token"]').getAttribute("content");
    const { words } = await (await page.request.get(`${address}/api/config`)).json();
    const [nouns, colors] = [words.nouns, words["background colors"]];
    await goTo("wall");
    for (let n = await total(), i = 0; n < fill; n += 4, i++) {
      const response = await page.request.post(`${address}/api/prompts`, {
        headers: { "X-CSRF-Token": token },
        data: { prompt: `a large ${nouns[(7 * i) % nouns.length]} on a ${colors[i % colors.length]} background`, count: 4, seed: 100 * i, steps: 2, guidance: 1 },
      });
      must(response.status() === 202, await response.text());
    }
    await page.waitForFunction((count) => Number(document.getElementById("result-count").textContent.replace(/\D/g, "")) >= count, fill, { timeout: 20 * 60 * 1000 });
    await page.reload();
    await page.waitForFunction(() => document.querySelectorAll("#wall > li").length >= 120);
    const begin = Date.now();
    let frames = 0;
    while ((await cards()) < fill) {
      await page.mouse.wheel(0, 4000);
      await page.evaluate(() => new Promise((done) => requestAnimationFrame(done)));
      must(++frames < 5000, `only ${await cards()} cards`);
    }
    await page.evaluate(() => scrollTo(0, document.body.scrollHeight));
    await page.waitForFunction(() => document.querySelector("#wall > li:last-child img").naturalWidth > 0);
    return `${await cards()} cards, ${((Date.now() - begin) / 1000).toFixed(1)} s from the first to the last`;
  });
}

if (screenshots) {
  await check("a look at it, with requests in progress", async () => {
    const { words } = await (await page.request.get(`${address}/api/config`)).json();
    const colors = words["background colors"];
    await goTo("wall");
    await page.locator('#live[data-state="on"]').waitFor();
    const before = await total();
    for (let i = 0; i < 21; i++) {
      await prompt(`a large ${words.nouns[(11 * i + 3) % words.nouns.length]} on a ${colors[(3 * i) % colors.length]} background`, { seed: 7 * i });
    }
    await page.waitForFunction((count) => Number(document.getElementById("result-count").textContent.replace(/\D/g, "")) >= count, before + 21);
    await page.reload();
    for (const text of ["a large lion face on a purple background", "a large hamburger on a yellow background", "a small whale on an orange background", "a large rose on a white background"]) {
      await prompt(text, { steps: 160, seed: 5 });
    }
    await page.waitForFunction(() => [...document.querySelectorAll(".request")].filter((request) =>
      /step (9\d|1\d\d) of/.test(request.textContent) && !request.querySelector("img").hidden).length >= 4);
    await page.evaluate(() => {
      document.querySelector("#prompt-form details").open = false;
      document.getElementById("prompt").value = "a large penguin on an orange background";
      document.getElementById("toasts").replaceChildren();
      document.activeElement.blur();
      scrollTo(0, 0);
    });
    await page.screenshot({ path: `${screenshots}/gallery.png` });
  });
}

await check("no serious accessibility fault", async () => {
  const said = [];
  for (const theme of ["light", "dark"]) {
    await goTo("wall");
    await page.evaluate((name) => {
      if (document.documentElement.dataset.theme !== name) document.getElementById("theme").click();
    }, theme);
    for (const view of ["wall", "compare", "letters"]) {
      await goTo(view);
      await page.waitForTimeout(400);
      said.push(await accessible(`${theme} ${view}`));
    }
    await goTo("wall");
    await page.locator("#wall button").first().click();
    await page.locator("#detail dt", { hasText: "Model digest" }).waitFor();
    said.push(await accessible(`${theme} detail`));
    await page.keyboard.press("Escape");
  }
  return said.join("; ");
});

await check("nothing sticks out at three widths", async () => {
  for (const width of [390, 820, 1440]) {
    await page.setViewportSize({ width, height: width === 390 ? 844 : width === 820 ? 1180 : 900 });
    for (const theme of width === 820 ? ["dark"] : ["light"]) {
      await goTo("wall");
      await page.evaluate((name) => {
        if (document.documentElement.dataset.theme !== name) document.getElementById("theme").click();
        scrollTo(0, 0);
      }, theme);
      for (const view of ["wall", "compare", "letters"]) {
        await goTo(view);
        await page.waitForTimeout(700);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
        must(wide <= 0, `${view} at ${width} is ${wide} pixels too wide`);
        if (screenshots) await page.screenshot({ path: `${screenshots}/${view}-${width}.png` });
      }
    }
  }
});

await check("the console has no error", async () => must(problems.length === 0, problems.join(" | ")));

await browser.close();
console.log(failed === 0 ? "All is well." : `${failed} checks failed.`);
process.exit(failed === 0 ? 0 : 1);
