// The page: asks the server every two seconds how the cluster stands, and hands that to the
// sections.

import * as api from "./api";
import { Buckets } from "./buckets";
import { by, h, put, say } from "./dom";
import * as f from "./format";
import { ClusterMap } from "./map";
import { PowerChart } from "./power";
import { RepairCard } from "./repair";
import { Plan } from "./whatif";

const every = 2000;

const page = by("page");
const signIn = by<HTMLFormElement>("sign-in");
const alert = by("alert");

const map = new ClusterMap(act);
const repair = new RepairCard(act);
const chart = new PowerChart();
const buckets = new Buckets();
const plan = new Plan();

let session: api.Session = { sign_in_required: false, buttons: false };
let timer = 0;
let heard = 0; // when the server last answered, milliseconds

async function begin(): Promise<void> {
  try {
    session = await api.session();
  } catch (e) {
    lost(e);
    timer = window.setTimeout(begin, every);
    return;
  }
  signIn.hidden = !session.sign_in_required;
  page.hidden = session.sign_in_required;
  by("sections").hidden = session.sign_in_required;
  say(by("who"), session.signed_in ? `signed in as ${session.signed_in}` : "");
  by("sign-out").hidden = !session.signed_in;
  if (session.sign_in_required) {
    say(alert, "");
    signIn.querySelector("input")?.focus();
    return;
  }
  await plan.begin().catch(lost);
  await tick();
}

async function tick(): Promise<void> {
  window.clearTimeout(timer);
  try {
    const [state, power] = await Promise.all([api.state(), api.power(chart.newest)]);
    heard = Date.now();
    say(alert, "");
    page.classList.remove("stale");
    show(state);
    chart.add(power);
    say(by("updated"), `Updated ${f.clock(heard)}`);
  } catch (e) {
    if (e instanceof api.Refusal && e.status === 401) return begin();
    lost(e);
  }
  window.clearTimeout(timer);
  timer = window.setTimeout(tick, document.hidden ? every * 15 : every);
}

function lost(e: unknown): void {
  page.classList.add("stale");
  const why = e instanceof api.Refusal ? `The server cannot say how the cluster stands: ${e.message}.` : "The server does not answer.";
  if (heard) {
    by("headline").className = "stale";
    say(by("headline"), `No word since ${f.clock(heard)}`);
    document.title = "No word · Wattle";
  }
  say(alert, heard ? `${why} What you see is from ${f.clock(heard)}; asking again.` : `${why} Asking again.`);
}

function show(s: api.State): void {
  headline(s);
  map.show(s, session);
  repair.show(s, session);
  buckets.show(s);
  plan.suggest(s);
}

function headline(s: api.State): void {
  const t = s.totals;
  const texts = { whole: "Everything is whole", degraded: "Degraded, and readable", lost: "Some stripes cannot be read" };
  const head = by("headline");
  head.className = s.health;
  say(head, texts[s.health]);
  document.title = `${texts[s.health]} · Wattle`;
  const away = t.disks_away ? `${f.many(t.disks_away, "disk")} of ${f.count(t.disks)} away. ` : "";
  say(by("subline"), away + survival(t.survives) + (t.writable ? ` Puts go on${t.writable_site_down || t.disks_away ? "" : ", until a site is down"}.` : ` Puts are refused: ${t.why ?? "too few disks"}.`));
  const fill = t.usable_bytes ? t.stored_bytes / t.usable_bytes : 0;
  const e = s.energy;
  put(by("facts"),
    fact("Drives draw", f.watts(e.watts), "now, as modelled; drives alone"),
    fact("Per usable TB", `${f.num(e.w_per_usable_tb)} W`, e.w_per_stored_tb === null ? "too little is stored to say per stored TB" : `${f.num(e.w_per_stored_tb)} W per stored TB`),
    fact("Used", f.energy(e.joules), `since ${f.date(e.since)}; ${e.boundary}`),
    fact("Stored", f.bytes(t.stored_bytes), `${f.percent(fill)} of ${f.bytes(t.usable_bytes)} usable`),
    fact("Objects", f.count(t.objects), `in ${f.many(t.buckets, "bucket")}`),
    fact("Scheme", s.scheme, `${f.num(s.overhead)}× raw; at most ${s.rule.replaceAll(",", ", ")} shards of a stripe`));
}

function survival(v: api.Survival): string {
  if (v.disks < 0) return "Not all can be read.";
  if (v.sites === 0 && v.disks === 0) return "Nothing more may be lost.";
  const parts = [];
  if (v.sites > 0) parts.push(`any ${f.many(v.sites, "site")}`);
  if (v.disks > 0) parts.push(v.sites > 0 ? `then any ${f.many(v.disks, "disk")} more` : `any ${f.many(v.disks, "disk")} more`);
  return `Survives the loss of ${parts.join(" and ")}.`;
}

function fact(name: string, value: string, note: string): HTMLElement {
  return h("div", {}, h("dt", {}, name), h("dd", {}, h("b", {}, value), h("span", {}, note)));
}

/** Does what a button asks for, and shows at once what came of it. */
async function act(what: () => Promise<unknown>): Promise<void> {
  try {
    await what();
  } catch (e) {
    if (e instanceof api.Refusal && e.status === 401) return begin();
    say(alert, e instanceof Error ? `That did not work: ${e.message}.` : "That did not work.");
    return;
  }
  await tick();
}

signIn.addEventListener("submit", async (e) => {
  e.preventDefault();
  const error = signIn.querySelector(".error")!;
  say(error, "");
  const data = new FormData(signIn);
  try {
    await api.signIn(String(data.get("access")), String(data.get("secret")));
    signIn.reset();
    await begin();
    by("main").focus();
  } catch (e) {
    say(error, e instanceof api.Refusal ? `Refused: ${e.message}.` : "The server does not answer.");
  }
});
by("sign-out").addEventListener("click", async () => {
  await api.signOut().catch(() => undefined);
  window.clearTimeout(timer);
  await begin();
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden && !page.hidden) void tick();
});

void begin();
