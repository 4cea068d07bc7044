// The dashboard in headless Chromium: a real `wattle serve` on a fresh cluster, its page as a
// person uses it, by pointer, by keyboard, on a phone, in the dark. Screenshots go to SHOTS, if
// that is set. Nothing here waits for a fixed time, except for what the page does each so often.

import assert from "node:assert/strict";
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { mkdirSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const wattle = process.env.WATTLE, work = process.env.WORK, shots = process.env.SHOTS;
const dir = join(work, "cluster");
const env = { ...process.env, WATTLE_DIR: dir, WATTLE_ROOT_USER: "webtest", WATTLE_ROOT_PASSWORD: "websecret123" };
const run = (...args) => execFileSync(wattle, args, { env, encoding: "utf8" });
const axe = readFileSync(fileURLToPath(import.meta.resolve("axe-core/axe.min.js")), "utf8");

let browser, page, server, url;
const wrong = []; // console errors, exceptions, and requests that left the host

async function port() {
  const s = createServer();
  await new Promise((done) => s.listen(0, "127.0.0.1", done));
  const n = s.address().port;
  await new Promise((done) => s.close(done));
  return n;
}

async function serve(...flags) {
  const address = `127.0.0.1:${await port()}`, s3 = `127.0.0.1:${await port()}`;
  const child = spawn(wattle, ["serve", "--listen", s3, "--dashboard", address, "--log", "none", ...flags], { env, stdio: ["ignore", "pipe", "inherit"] });
  await new Promise((done, fail) => {
    child.stdout.on("data", (d) => String(d).includes("dashboard at") && done());
    child.on("exit", (code) => fail(new Error(`serve ended with ${code}`)));
  });
  child.removeAllListeners("exit");
  return { child, url: `http://${address}/` };
}

async function stop(child) {
  const ended = new Promise((done) => child.on("exit", done));
  child.kill("SIGTERM");
  await ended;
}

async function open(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, reducedMotion: "reduce", ...options });
  const p = await context.newPage();
  p.on("console", (m) => ["error", "warning"].includes(m.type()) && wrong.push(m.text()));
  p.on("pageerror", (e) => wrong.push(e.message));
  p.on("request", (r) => new URL(r.url()).host === new URL(url).host || wrong.push(`request to ${r.url()}`));
  await p.goto(url);
  return p;
}

const shot = (p, name) => shots && p.screenshot({ path: join(shots, `${name}.png`), fullPage: true });
const state = async () => (await fetch(`${url}api/state`)).json();

/** Takes back what Chromium tells of refusals that a test has asked for. */
const expected = (status) => wrong.splice(0, wrong.length, ...wrong.filter((w) => !w.includes(`status of ${status}`)));

async function accessible(p, what) {
  await p.evaluate(axe); // by the debugger, which the page's policy does not concern
  const r = await p.evaluate(() => axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
  assert.ok(r.passes.length > 20, "axe looked at next to nothing");
  assert.deepEqual(r.violations.map((v) => `${v.id}: ${v.nodes.map((n) => `${n.target} ${n.failureSummary}`).slice(0, 3).join("; ")}`), [], what);
}

before(async () => {
  if (shots) mkdirSync(shots, { recursive: true });
  run("init", "--quiet", "--sites", "3", "--racks", "2", "--hosts", "2", "--disks", "3", "--scheme", "rs:9+6");
  for (const b of ["photos", "logs"]) run("mb", b, "--quiet");
  for (const b of ["photos", "logs"]) run("put", wattle, `${b}/program`, "--quiet");
  ({ child: server, url } = await serve());
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", headless: true, timeout: 120_000,
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  }); // on a fresh profile of its own
  page = await open();
  page.setDefaultTimeout(60_000);
  await page.waitForSelector("#sites .drive");
}, { timeout: 240_000 });

after(async () => {
  await browser?.close();
  if (server) await stop(server);
});

test("the map has every drive, and says what each does", async () => {
  const s = await state();
  assert.equal(await page.locator("#sites .drive").count(), s.totals.disks);
  assert.equal(await page.locator("#sites .site").count(), 3);
  assert.match(await page.locator("#headline").innerText(), /Everything is whole/);
  assert.match(await page.locator("#facts").innerText(), /216 W/);
  const first = page.locator('[data-disk="site1/rack1/host1/disk1"]');
  assert.match(await first.getAttribute("aria-label"), /^site1\/rack1\/host1\/disk1: .*, 5 W, .* of 18 TB, no errors$/);
  for (const [mode, text] of [["watts", /to 7 W/], ["fill", /scaled to the fullest drive/], ["errors", /no bad shards/], ["state", /idle/]]) {
    await page.locator(`#map-mode input[value=${mode}]`).check({ force: true });
    assert.match(await page.locator("#legend").innerText(), text);
    if (mode !== "state") await shot(page, `map-${mode}`);
  }
  assert.match(await page.locator("#bucket-table").innerText(), /photos[\s\S]*logs|logs[\s\S]*photos/);
  const sum = s.buckets.reduce((n, b) => n + b.joules, 0);
  assert.ok(Math.abs(sum - s.energy.joules) < 1e-6 * sum, "buckets sum to the meter");
});

test("the page is accessible, light and dark", async () => {
  await page.waitForSelector("#power-chart svg");
  await accessible(page, "light");
  await shot(page, "light");
  await page.emulateMedia({ colorScheme: "dark" });
  await accessible(page, "dark");
  await shot(page, "dark");
  await page.emulateMedia({ colorScheme: "light" });
});

test("a site fails by its button, is told, and comes back whole", async () => {
  await page.locator('[data-domain="site2"]').click();
  assert.match(await page.locator("#details").innerText(), /site2[\s\S]*12/);
  await page.locator('[data-act="fail"]').click();
  assert.match(await page.locator("#confirm").innerText(), /12 disks will be taken out of service/);
  await page.keyboard.press("Escape");
  assert.equal((await state()).totals.disks_away, 0, "Escape is no");
  await page.locator('[data-act="fail"]').click();
  await page.locator("#confirm-yes").click();
  await page.waitForFunction(() => document.querySelectorAll("#sites .drive.failed").length === 12);
  await page.waitForFunction(() => /Degraded/.test(document.getElementById("headline").textContent));
  assert.equal((await state()).totals.disks_away, 12);
  assert.match(await page.locator("#repair-body").innerText(), /lack shards[\s\S]*site2, all 12 disks/);
  await accessible(page, "degraded");
  await shot(page, "failed");
  const r = spawnSync(wattle, ["get", "photos/program", join(work, "back"), "--quiet"], { env });
  assert.equal(r.status, 5, "served, but degraded");
  assert.deepEqual(readFileSync(join(work, "back")), readFileSync(wattle));
});

test("its restoring is seen too", async () => {
  await page.locator('[data-domain="site2"]').click();
  await page.locator('[data-act="restore"]').click();
  await page.waitForFunction(() => document.querySelectorAll("#sites .drive.failed").length === 0);
  await page.waitForFunction(() => /Everything is whole/.test(document.getElementById("headline").textContent), undefined, { timeout: 90_000 });
  assert.equal((await state()).totals.stripes.degraded, 0);
  await page.waitForFunction(() => /have all of their shards/.test(document.getElementById("repair-body").textContent) && !document.querySelector("#repair-body progress"));
});

test("a disk fails by keyboard alone", async () => {
  await page.locator("#sites .drive").first().focus();
  for (const key of ["ArrowRight", "ArrowDown", "ArrowUp", "End", "Home", "ArrowRight"]) await page.keyboard.press(key);
  const at = await page.evaluate(() => document.activeElement.dataset.disk);
  assert.equal(at, "site1/rack1/host1/disk2");
  assert.equal(await page.locator('#sites .drive[tabindex="0"]').count(), 1, "the drives are one stop");
  await page.keyboard.press("Enter");
  await page.locator('[data-act="fail"]').focus();
  await page.keyboard.press("Enter");
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await page.waitForSelector('[data-disk="site1/rack1/host1/disk2"].failed');
  await page.locator('[data-act="restore"]').focus();
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => !document.querySelector("#sites .drive.failed"));
});

test("Tab reaches all there is, in order", async () => {
  await page.reload();
  await page.waitForSelector("#answer .pair");
  const seen = [];
  for (let i = 0; i < 140; i++) {
    await page.keyboard.press("Tab");
    const at = await page.evaluate(() => {
      const e = document.activeElement;
      if (e === document.body) return "";
      const box = e.getBoundingClientRect();
      return `${e.closest("section")?.id || e.closest("header")?.className || "skip"}|${e.id || e.dataset.domain || e.dataset.disk || e.value || e.textContent.trim()}|${box.width > 0}`;
    });
    if (!at) break;
    seen.push(at);
  }
  assert.ok(seen.every((s) => s.endsWith("true")), "what is focused is to be seen");
  const sections = [...new Set(seen.map((s) => s.split("|")[0]))];
  assert.deepEqual(sections.filter((s) => ["top", "map", "power", "whatif"].includes(s)), ["top", "map", "power", "whatif"]);
  for (const id of ["w-usable", "w-scheme", "w-disk", "w-sites", "w-fill", "w-pue", "w-grid", "w-price"]) assert.ok(seen.some((s) => s.includes(`|${id}|`)), `${id} can be reached`);
});

test("the sliders ask the model, and it answers what the command does", async () => {
  const set = (id, value) => page.locator(`#${id}`).evaluate((e, v) => { e.value = v; e.dispatchEvent(new Event("input", { bubbles: true })); }, String(value));
  const before = await page.locator("#answer .pairs").innerText();
  await page.locator("#w-disk").selectOption("hgst-he12-12tb");
  await set("w-fill", 60);
  await set("w-pue", 1.4);
  await set("w-grid", 100);
  await set("w-price", 0.2);
  for (let sites = 1; sites <= 3; sites++) await set("w-sites", sites); // as a drag does
  await page.waitForFunction((b) => !/No price/.test(document.querySelector("#answer .pairs").innerText) && document.querySelector("#answer .pairs").innerText !== b, before);
  const flags = ["--usable", "10000TB", "--scheme", "rs:9+6", "--disk", "hgst-he12-12tb", "--sites", "3", "--fill", "0.6", "--pue", "1.4", "--grid", "100", "--price-kwh", "0.2"];
  await page.waitForFunction((c) => document.querySelector("#answer .command code").textContent === c, `wattle whatif ${flags.join(" ")}`);
  const want = JSON.parse(run("whatif", ...flags, "--json")).options[0];
  const got = (await (await fetch(`${url}api/whatif?usable_tb=10000&scheme=rs:9%2B6&disk=hgst-he12-12tb&sites=3&fill=0.6&pue=1.4&grid=100&price_kwh=0.2`)).json()).options[0];
  assert.deepEqual(got, want);
  const num = (v) => (v >= 1000 ? new Intl.NumberFormat("en", { maximumFractionDigits: 0 }).format(Number(v.toPrecision(3))) : new Intl.NumberFormat("en", { maximumSignificantDigits: 3 }).format(v));
  await page.waitForFunction((t) => document.querySelector("#answer .pairs").innerText.includes(t), `${num(want.w_per_stored_tb.typical)} W/TB`);
  const shown = await page.locator("#answer .pairs").innerText();
  for (const [e, scale, unit] of [[want.w_per_stored_tb, 1, "W/TB"], [want.kwh_per_year, 1, "kWh"], [want.kgco2e_location_per_year, 1e-3, "t CO2e"], [want.eur_energy_per_year, 1, "€"]]) {
    assert.ok(shown.includes(`${num(e.typical * scale)} ${unit}`), `${num(e.typical * scale)} ${unit} in ${shown}`);
    assert.ok(shown.includes(`${num(e.low * scale)} to ${num(e.high * scale)} ${unit}`), `the band of ${unit}`);
  }
  assert.match(await page.locator("#answer .verdict").innerText(), new RegExp(`% ${want.verdict} than replica:3`));
  await shot(page, "whatif");
});

test("what cannot be told apart is called indistinct, and what cannot be is refused with a reason", async () => {
  const choices = (await (await fetch(`${url}api/choices`)).json()).schemes.map((s) => s.scheme);
  await page.locator("#w-scheme").evaluate((e, v) => { e.value = v; e.dispatchEvent(new Event("input", { bubbles: true })); }, String(choices.indexOf("replica:3")));
  await page.waitForFunction(() => /baseline|Indistinct/.test(document.querySelector("#answer .verdict")?.textContent ?? ""));
  await page.locator("#w-usable").fill("-5");
  await page.waitForFunction(() => /The model refuses: usable_tb "-5"/.test(document.getElementById("answer").textContent));
  expected(400);
  await page.locator("#whatif-reset").click();
  await page.waitForFunction(() => /less than replica:3/.test(document.querySelector("#answer .verdict")?.textContent ?? ""));
});

test("what the command fails is seen on the page", async () => {
  run("fail", "disk", "site3/rack2/host2/disk3", "--quiet");
  await page.waitForSelector('[data-disk="site3/rack2/host2/disk3"].failed');
  run("restore", "site3/rack2/host2/disk3", "--quiet");
  await page.waitForFunction(() => !document.querySelector("#sites .drive.failed"));
});

test("the chart is read by keyboard, and is a table too", async () => {
  await page.waitForSelector("#power-chart svg");
  await page.locator("#power-chart .chart").focus();
  await page.keyboard.press("ArrowLeft");
  assert.match(await page.locator("#power-chart .readout").innerText(), /\d\d:\d\d:\d\d · .*all \d+ W/);
  await page.locator("#power-mode input[value=site]").check({ force: true });
  assert.match(await page.locator("#power-legend").innerText(), /coding[\s\S]*site3[\s\S]*site2[\s\S]*site1/);
  await page.locator("#power details summary").click();
  assert.ok((await page.locator("#power-table tbody tr").count()) >= 1);
  const reload = (await (await fetch(`${url}api/power`)).json()).samples.length;
  assert.ok(reload >= 2, "the server keeps the samples");
});

test("a phone shows all of it without scrolling sideways, light and dark", async () => {
  for (const colorScheme of ["light", "dark"]) {
    const p = await open({ viewport: { width: 375, height: 812 }, colorScheme, hasTouch: true, isMobile: true });
    await p.waitForSelector("#power-chart svg");
    await p.waitForSelector("#answer .pair");
    assert.equal(await p.evaluate(() => document.documentElement.scrollWidth), 375);
    await p.locator('[data-disk="site1/rack2/host1/disk1"]').tap();
    assert.match(await p.locator("#details").innerText(), /site1\/rack2\/host1\/disk1/);
    await accessible(p, `phone, ${colorScheme}`);
    await shot(p, `phone-${colorScheme}`);
    await p.context().close();
  }
});

test("a server that asks to sign in shows nothing before", async () => {
  await page.context().close();
  await stop(server);
  ({ child: server, url } = await serve("--dashboard-sign-in"));
  const p = await open();
  await p.waitForSelector("#sign-in:not([hidden])");
  assert.equal(await p.locator("#sites .drive").count(), 0);
  assert.equal((await fetch(`${url}api/state`)).status, 401);
  await accessible(p, "sign in");
  await shot(p, "sign-in");
  await p.locator("input[name=access]").fill("webtest");
  await p.locator("input[name=secret]").fill("wrong");
  await p.keyboard.press("Enter");
  await p.waitForFunction(() => /not the key of an administrator/.test(document.querySelector("#sign-in .error").textContent));
  expected(403);
  await p.locator("input[name=secret]").fill("websecret123");
  await p.keyboard.press("Enter");
  await p.waitForSelector("#sites .drive");
  assert.match(await p.locator("#who").innerText(), /webtest/);
  await p.locator("#sign-out").click();
  await p.waitForSelector("#sign-in:not([hidden])");
  await p.context().close();
});

test("nothing went wrong in the console, and nothing left this host", () => {
  assert.deepEqual(wrong, []);
});

test("a server that is gone is told, and so is its return", async () => {
  await stop(server);
  ({ child: server, url } = await serve("--dashboard-read-only"));
  const p = await open();
  await p.waitForSelector("#sites .drive");
  await p.locator('[data-domain="site1"]').click();
  assert.equal(await p.locator("[data-act]").count(), 0, "no buttons");
  assert.match(await p.locator("#details").innerText(), /for looking only/);
  await stop(server);
  await p.waitForFunction(() => /does not answer\. What you see is from \d\d:/.test(document.getElementById("alert").textContent));
  assert.match(await p.locator("#headline").innerText(), /No word since/, "what was whole may not be");
  await shot(p, "gone");
  const at = new URL(url).host;
  server = spawn(wattle, ["serve", "--listen", `127.0.0.1:${await port()}`, "--dashboard", at, "--log", "none"], { env, stdio: "ignore" });
  await p.waitForFunction(() => document.getElementById("alert").textContent === "" && /whole/.test(document.getElementById("headline").textContent), undefined, { timeout: 60_000 });
});
