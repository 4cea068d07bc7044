// The map: a cell for each drive, in its host, rack and site. One tab stop; arrow keys go
// from drive to drive, Enter selects.

import * as api from "./api";
import { by, h, put, say, segments } from "./dom";
import * as f from "./format";

type Mode = "state" | "watts" | "fill" | "errors";
type Act = (what: () => Promise<unknown>) => Promise<void>;

interface Place { path: string; disk: api.Disk; cell: HTMLButtonElement }

const steps = 5;

/** What a cell says without its colour: a sign, and in words. */
const signs: Record<string, [sign: string, words: string]> = {
  idle: ["", "idle: turning, nothing to do"],
  active: ["▸", "working"],
  standby: ["–", "standby: at rest"],
  spin_up: ["↑", "starting"],
  suspect: ["!", "suspect: a write failed a moment ago"],
  failed: ["×", "failed: taken out of service"],
  missing: ["?", "missing: gone or damaged"],
  draining: ["↓", "draining: gives up its shards"],
};

function kind(d: api.Disk): string {
  if (d.state !== "active") return d.state;
  if (d.draining) return "draining";
  if (d.power === "standby" || d.power === "spin_up") return d.power;
  return d.power.startsWith("idle") ? "idle" : "active";
}

export class ClusterMap {
  private mode: Mode = "state";
  private places: Place[] = [];
  private shape = "";
  private selected = "";
  private current = 0;
  private state?: api.State;
  private session?: api.Session;

  constructor(private act: Act) {
    segments(by("map-mode"), "map-mode", [["state", "State"], ["watts", "Watts"], ["fill", "Fill"], ["errors", "Errors"]], this.mode, (m) => {
      this.mode = m as Mode;
      this.paint();
    });
    by("sites").addEventListener("keydown", (e) => this.key(e));
  }

  show(s: api.State, session: api.Session): void {
    this.state = s;
    this.session = session;
    const shape = JSON.stringify(s.sites.map((site) => [site.name, site.racks.map((r) => [r.name, r.hosts.map((x) => [x.name, x.disks.map((d) => d.name)])])]));
    if (shape !== this.shape) this.build(s);
    this.shape = shape;
    let i = 0;
    for (const site of s.sites) for (const rack of site.racks) for (const host of rack.hosts) for (const d of host.disks) this.places[i++].disk = d;
    this.paint();
  }

  private build(s: api.State): void {
    this.places = [];
    const hosts = s.sites.flatMap((x) => x.racks.flatMap((r) => r.hosts));
    by("sites").classList.toggle("many", s.totals.disks > 120 || hosts.some((x) => x.disks.length > 6));
    const domain = (path: string, name: string, tag: "h3" | "span") =>
      h(tag, { class: "domain" }, h("button", { "data-domain": path, onclick: () => this.select(path) }, name));
    put(by("sites"), ...s.sites.map((site) => h("div", { class: "site", "data-site": site.name }, domain(site.name, site.name, "h3"),
      h("div", { class: "racks" }, ...site.racks.map((rack) => h("div", { class: "rack" }, domain(`${site.name}/${rack.name}`, rack.name, "span"),
        h("div", { class: "hosts" }, ...rack.hosts.map((host) => h("div", { class: "host", role: "group", "aria-label": `${rack.name} ${host.name}` },
          domain(`${site.name}/${rack.name}/${host.name}`, host.name, "span"),
          h("div", { class: "drives" }, ...host.disks.map((disk) => this.cell(`${site.name}/${rack.name}/${host.name}/${disk.name}`, disk))))))))))));
    this.current = Math.min(this.current, Math.max(0, this.places.length - 1));
    this.places[this.current]?.cell.setAttribute("tabindex", "0");
  }

  private cell(path: string, disk: api.Disk): HTMLElement {
    const at = this.places.length;
    const cell = h("button", { class: "drive", tabindex: "-1", "data-disk": path, onclick: () => { this.go(at); this.select(path); } },
      h("span", { class: "level", "aria-hidden": "true" }), h("span", { class: "sign", "aria-hidden": "true" }));
    this.places.push({ path, disk, cell });
    return cell;
  }

  private key(e: KeyboardEvent): void {
    const at = this.places.findIndex((p) => p.cell === e.target);
    if (at < 0) return;
    const host = (i: number) => this.places[i].path.slice(0, this.places[i].path.lastIndexOf("/"));
    const next: Record<string, () => number> = {
      ArrowRight: () => at + 1,
      ArrowLeft: () => at - 1,
      ArrowDown: () => this.places.findIndex((_, i) => i > at && host(i) !== host(at)),
      ArrowUp: () => {
        const first = this.places.findIndex((_, i) => host(i) === host(at));
        return first > 0 ? this.places.findIndex((_, i) => host(i) === host(first - 1)) : -1;
      },
      Home: () => 0,
      End: () => this.places.length - 1,
    };
    const to = next[e.key]?.();
    if (to === undefined) return;
    e.preventDefault();
    if (to >= 0 && to < this.places.length) {
      this.go(to);
      this.places[to].cell.focus();
    }
  }

  private go(to: number): void {
    this.places[this.current]?.cell.setAttribute("tabindex", "-1");
    this.current = to;
    this.places[to].cell.setAttribute("tabindex", "0");
  }

  private select(path: string): void {
    this.selected = path;
    this.paint();
    say(by("picked"), `${path} is selected; what it holds, and its buttons, are after the map.`); // once: the figures themselves change all the time
  }

  /** A drive's value in the mode, and the top of the scale. */
  private value(d: api.Disk): number {
    return { state: 0, watts: d.watts, fill: d.capacity ? d.used / d.capacity : 0, errors: d.bad_shards + d.errors }[this.mode];
  }

  private paint(): void {
    if (!this.state) return;
    const top = this.top();
    for (const { path, disk, cell } of this.places) {
      const k = kind(disk);
      const off = disk.state === "failed" || disk.state === "missing";
      const part = top > 0 ? this.value(disk) / top : 0;
      const step = this.mode === "state" ? "" : off && this.mode === "watts" ? "" : `s${this.value(disk) > 0 ? Math.min(steps, 1 + Math.floor(part * steps)) : 0}`;
      cell.className = `drive ${k} ${step} ${this.mode} ${path === this.selected ? "chosen" : ""}`;
      cell.setAttribute("aria-pressed", String(path === this.selected));
      cell.setAttribute("aria-label", `${path}: ${words(disk)}`);
      cell.title = `${path}\n${words(disk)}`;
      const [level, sign] = cell.children as unknown as HTMLElement[];
      level.style.height = this.mode === "watts" || this.mode === "fill" ? `${Math.round(100 * part)}%` : "0";
      say(sign, this.mode === "errors" && !off ? (this.value(disk) ? String(Math.min(99, this.value(disk))) : "") : signs[k][0]);
    }
    for (const b of by("sites").querySelectorAll<HTMLButtonElement>("[data-domain]")) {
      b.setAttribute("aria-pressed", String(b.dataset.domain === this.selected));
      b.closest(".host, .rack, .site")?.classList.toggle("picked", b.dataset.domain === this.selected);
    }
    this.legend(top);
    this.details();
  }

  private top(): number {
    const most = Math.max(0, ...this.places.map((p) => this.value(p.disk)));
    return this.mode === "fill" && most > 0.05 ? 1 : most;
  }

  private legend(top: number): void {
    const items: Node[] = [];
    const item = (cls: string, sign: string, text: string) => items.push(h("span", {}, h("i", { class: `drive ${cls}`, "aria-hidden": "true" }, h("span", { class: "sign" }, sign)), text));
    const seen = new Set(this.places.map((p) => kind(p.disk)));
    const off = ["failed", "missing"].filter((k) => seen.has(k));
    if (this.mode === "state") for (const k of Object.keys(signs)) { if (seen.has(k) || k === "idle" || k === "failed") item(k, signs[k][0], signs[k][1]); }
    else {
      const text = { watts: (v: number) => `${f.num(v)} W`, fill: f.percent, errors: f.count, state: String }[this.mode];
      if (top === 0) item(`s0 ${this.mode}`, "", { watts: "no drive draws anything", fill: "all are empty", errors: "no bad shards, no failed I/O since the server began", state: "" }[this.mode]);
      else {
        for (let i = 1; i <= steps; i++) item(`s${i} ${this.mode}`, "", i === steps ? `to ${text(top)}` : `to ${text((top * i) / steps)}`);
        if (this.mode === "fill" && top < 1) items.push(h("span", { class: "note" }, "scaled to the fullest drive"));
        if (this.mode === "errors") items.push(h("span", { class: "note" }, "bad shards known, and I/Os that failed since the server began"));
      }
      for (const k of off) item(k, signs[k][0], signs[k][1]);
    }
    const l = by("legend");
    if (l.dataset.text !== items.map((i) => i.textContent).join()) put(l, ...items);
    l.dataset.text = items.map((i) => i.textContent).join();
  }

  private details(): void {
    const list = this.places.filter((p) => p.path === this.selected || p.path.startsWith(this.selected + "/"));
    const box = by("details");
    const text = this.selected === "" || list.length === 0 ? "" : JSON.stringify([this.selected, list.map((p) => p.disk), this.session]);
    if (box.dataset.text === text) return;
    box.dataset.text = text;
    if (!text) {
      put(box, h("p", { class: "note" }, "Choose a drive, or the name of a host, rack or site, to see what it holds and draws."));
      return;
    }
    const had = box.contains(document.activeElement) ? (document.activeElement as HTMLElement).dataset.act : undefined;
    const disks = list.map((p) => p.disk);
    const sum = (get: (d: api.Disk) => number) => disks.reduce((n, d) => n + get(d), 0);
    const away = disks.filter((d) => d.state === "failed" || d.state === "missing").length;
    const one = disks.length === 1 && list[0].path === this.selected ? disks[0] : undefined;
    const rows: [string, string][] = [];
    if (one) rows.push(["State", signs[kind(one)][1] + (one.why ? ` (${one.why})` : "")], ["Profile", one.profile]);
    else rows.push(["Disks", `${f.count(disks.length)}${away ? `, ${f.count(away)} away` : ""}`]);
    rows.push(["Draws", `${f.watts(sum((d) => d.watts))} now, modelled`], ["Used", `${f.energy(sum((d) => d.joules))}${one?.starts ? `, ${f.many(one.starts, "start")}` : ""}`],
      ["Holds", `${f.bytes(sum((d) => d.used))} of ${f.bytes(sum((d) => d.capacity))} (${f.percent(sum((d) => d.used) / sum((d) => d.capacity))})`],
      ["Errors", sum((d) => d.bad_shards + d.errors) ? `${f.many(sum((d) => d.bad_shards), "bad shard")}, ${f.many(sum((d) => d.errors), "error")} since the server began` : "none"]);
    put(box, h("h3", {}, this.selected), h("dl", {}, ...rows.flatMap(([k, v]) => [h("dt", {}, k), h("dd", {}, v)])), this.buttons(disks.length, away));
    if (had) box.querySelector<HTMLElement>(`[data-act="${had}"]`)?.focus() ?? box.querySelector<HTMLElement>("[data-act]")?.focus();
  }

  private buttons(n: number, away: number): HTMLElement {
    if (!this.session?.buttons) return h("p", { class: "note" }, this.session?.why ?? "");
    const path = this.selected;
    return h("div", { class: "buttons" },
      away < n && h("button", { class: "danger", "data-act": "fail", onclick: () => this.fail(path, n - away) }, `Fail ${short(path)}`),
      away > 0 && h("button", { class: "primary", "data-act": "restore", onclick: () => this.act(() => api.restore(path)) }, `Restore ${short(path)}`));
  }

  private async fail(path: string, n: number): Promise<void> {
    const t = this.state!.totals;
    const spare = t.survives.sites > 0 ? `The cluster survives any ${f.many(t.survives.sites, "site")} as it stands.` : t.survives.disks > 0 ? `The cluster survives any ${f.many(t.survives.disks, "disk")} as it stands; more may make objects unreadable until they are restored.` : "The cluster stands no further loss: objects may be unreadable until it is restored.";
    if (await ask(`Fail ${path}?`, `${f.many(n, "disk")} will be taken out of service, as if lost, until you restore them. Nothing on them is removed. ${spare}`, `Fail ${short(path)}`))
      await this.act(() => api.fail(path));
  }
}

const short = (path: string): string => path.slice(path.lastIndexOf("/") + 1);

function words(d: api.Disk): string {
  const errors = d.bad_shards + d.errors;
  return `${signs[kind(d)][1]}, ${f.watts(d.watts)}, ${f.percent(d.capacity ? d.used / d.capacity : 0)} of ${f.bytes(d.capacity)}, ${errors ? f.many(errors, "error") : "no errors"}`;
}

/** Asks in a dialog; Escape is no. */
function ask(title: string, text: string, yes: string): Promise<boolean> {
  const d = by<HTMLDialogElement>("confirm");
  say(by("confirm-title"), title);
  say(by("confirm-text"), text);
  say(by("confirm-yes"), yes);
  d.returnValue = "no";
  d.showModal();
  return new Promise((done) => d.addEventListener("close", () => done(d.returnValue === "yes"), { once: true }));
}
