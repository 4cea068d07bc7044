// What the drives drew in the last hour, stacked by state or by site.

import * as api from "./api";
import { by, h, put, say, segments, svg } from "./dom";
import * as f from "./format";

const hour = 3600_000;
const windows = [5, 10, 20, 30, 60]; // minutes that are shown, as the samples fill them
const height = 240, left = 52, right = 8, above = 10, below = 24;

interface Series { name: string; cls: string; values: number[] }

/** States that are told apart; the rest are kin of one of them. */
const kin: Record<string, string> = { idle_a: "idle", idle_b: "idle", idle_c: "idle", sequential: "reading and writing", sequential_write: "reading and writing", random_write: "reading and writing", active: "reading and writing", spin_up: "starting" };
const order = ["standby", "idle", "reading and writing", "starting", "coding (processor)"];

export class PowerChart {
  newest = 0;
  private power: api.Power = { every_seconds: 5, sites: [], states: [], samples: [] };
  private mode = "state";
  private at = -1; // the sample that the cross stands at
  private readout = h("div", { class: "readout", "aria-live": "polite" });
  private box = h("div", { class: "chart", tabindex: "0", role: "group", "aria-label": "Chart of power over the last hour. Left and right arrow keys read it." });
  private width = 0;
  private span = hour; // that is shown, milliseconds

  constructor() {
    segments(by("power-mode"), "power-mode", [["state", "By state"], ["site", "By site"]], this.mode, (m) => {
      this.mode = m;
      this.draw();
    });
    by("power-chart").append(this.box, this.readout);
    this.box.addEventListener("pointermove", (e) => this.point(e.clientX));
    this.box.addEventListener("pointerleave", () => this.cross(-1));
    this.box.addEventListener("keydown", (e) => {
      const n = this.power.samples.length;
      const step: Record<string, number> = { ArrowLeft: -1, ArrowRight: 1, PageUp: -12, PageDown: 12, Home: -n, End: n };
      if (!(e.key in step) || n === 0) return;
      e.preventDefault();
      this.cross(Math.max(0, Math.min(n - 1, (this.at < 0 ? n : this.at) + step[e.key])));
    });
    this.box.addEventListener("blur", () => this.cross(-1));
    new ResizeObserver(() => {
      if (Math.abs(this.box.clientWidth - this.width) > 1) this.draw();
    }).observe(this.box);
  }

  add(p: api.Power): void {
    const cut = (p.samples.at(-1)?.at ?? this.newest) - hour;
    const before = this.at >= 0 ? this.power.samples[this.at]?.at : undefined;
    this.power = { ...p, samples: [...this.power.samples.filter((s) => s.at > cut), ...p.samples.filter((s) => s.at > this.newest)] };
    this.newest = this.power.samples.at(-1)?.at ?? 0;
    this.at = before === undefined ? -1 : this.power.samples.findIndex((s) => s.at === before);
    if (p.samples.length || !this.box.firstChild) this.draw();
  }

  private series(): Series[] {
    const { samples, sites, states } = this.power;
    const coding: Series = { name: "coding (processor)", cls: "p-coding", values: samples.map((s) => s.coding_watts) };
    if (this.mode === "site") {
      const list = sites.map((name, i) => ({ name, cls: `p-site${i % 6}`, values: samples.map((s) => (s.watts[i] ?? []).reduce((a, b) => a + b, 0)) }));
      return [...list, coding].filter((s) => s.values.some((v) => v > 0));
    }
    const by = new Map<string, number[]>();
    states.forEach((state, j) => {
      const name = kin[state] ?? state;
      const to = by.get(name) ?? samples.map(() => 0);
      samples.forEach((s, k) => (to[k] += s.watts.reduce((sum, w) => sum + (w?.[j] ?? 0), 0)));
      by.set(name, to);
    });
    by.set(coding.name, coding.values);
    return order.filter((n) => by.get(n)?.some((v) => v > 0)).map((name) => ({ name, cls: `p-${name.split(" ")[0]}`, values: by.get(name)! }));
  }

  private draw(): void {
    this.width = this.box.clientWidth || 600;
    const list = this.series(), samples = this.power.samples;
    if (samples.length < 2) {
      put(this.box, h("p", { class: "empty" }, "The first samples come within ten seconds."));
      return;
    }
    const totals = samples.map((_, k) => list.reduce((sum, s) => sum + s.values[k], 0));
    const top = nice(Math.max(...totals, 1e-9));
    const minutes = windows.find((m) => m * 60_000 >= this.newest - samples[0].at) ?? 60;
    this.span = minutes * 60_000;
    const x = (ms: number) => this.x(ms);
    const y = (w: number) => above + (height - above - below) * (1 - w / top);
    const areas: SVGElement[] = [];
    let floor = samples.map(() => 0);
    for (const s of list) {
      if (Math.max(...s.values) < top / 500) continue; // too thin to be seen; the legend has it
      const ceiling = floor.map((v, k) => v + s.values[k]);
      const up = samples.map((p, k) => `${x(p.at).toFixed(1)},${y(ceiling[k]).toFixed(1)}`);
      const down = samples.map((p, k) => `${x(p.at).toFixed(1)},${y(floor[k]).toFixed(1)}`).reverse();
      areas.push(svg("polygon", { class: s.cls, points: [...up, ...down].join(" ") }), svg("polyline", { class: `edge ${s.cls}`, points: up.join(" ") }));
      floor = ceiling;
    }
    const marks: SVGElement[] = [];
    for (let i = 0; i <= 4; i++) {
      const w = (top * i) / 4;
      marks.push(svg("line", { class: "grid", x1: left, x2: this.width - right, y1: y(w), y2: y(w) }), svg("text", { x: left - 8, y: y(w), "text-anchor": "end", "dominant-baseline": "middle" }, f.watts(w)));
    }
    const ticks = this.width < 500 ? 2 : 5;
    for (let i = ticks; i >= 0; i--) {
      const m = (minutes * i) / ticks;
      marks.push(svg("text", { x: x(this.newest - m * 60_000), y: height - 6, "text-anchor": i === 0 ? "end" : i === ticks ? "start" : "middle" }, i === 0 ? "now" : `−${f.num(m)} min`));
    }
    put(this.box, svg("svg", { width: this.width, height, viewBox: `0 0 ${this.width} ${height}`, role: "img", "aria-label": this.summary(totals) },
      ...marks, ...areas, svg("line", { class: "cross", y1: above, y2: height - below, x1: -10, x2: -10 })));
    this.legend(list);
    this.table(list);
    this.cross(this.at);
  }

  private x(ms: number): number {
    return left + (this.width - left - right) * (1 - (this.newest - ms) / this.span);
  }

  private summary(totals: number[]): string {
    const mean = totals.reduce((a, b) => a + b, 0) / totals.length;
    return `Power over ${f.span((totals.length * this.power.every_seconds))}: now ${f.watts(totals.at(-1)!)}, mean ${f.watts(mean)}, from ${f.watts(Math.min(...totals))} to ${f.watts(Math.max(...totals))}.`;
  }

  private legend(list: Series[]): void {
    put(by("power-legend"), ...[...list].reverse().map((s) => h("span", {}, h("i", { class: `swatch ${s.cls}`, "aria-hidden": "true" }), `${s.name} `, h("b", {}, f.watts(s.values.at(-1) ?? 0)))));
    say(by("power-note"), `Means over ${this.power.every_seconds} s, in the order of the stack. Boundary: drives, and processor time for coding; modelled. Work is drawn at the pace of the drives that the directories stand for.`);
  }

  private table(list: Series[]): void {
    const rows = this.power.samples.filter((_, k, all) => (all.length - 1 - k) % 60 === 0).reverse();
    const index = new Map(this.power.samples.map((s, k) => [s, k]));
    put(by("power-table"), h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Time"), ...list.map((s) => h("th", { scope: "col", class: "n" }, s.name)), h("th", { scope: "col", class: "n" }, "All"))),
      h("tbody", {}, ...rows.map((r) => h("tr", {}, h("th", { scope: "row" }, f.clock(r.at)), ...list.map((s) => h("td", { class: "n" }, f.watts(s.values[index.get(r)!]))),
        h("td", { class: "n" }, f.watts(list.reduce((sum, s) => sum + s.values[index.get(r)!], 0))))))));
  }

  private point(clientX: number): void {
    const n = this.power.samples.length;
    if (n === 0) return;
    const ms = this.newest - this.span * (1 - (clientX - this.box.getBoundingClientRect().left - left) / (this.width - left - right));
    let best = 0;
    this.power.samples.forEach((s, k) => { if (Math.abs(s.at - ms) < Math.abs(this.power.samples[best].at - ms)) best = k; });
    this.cross(best);
  }

  /** Stands the cross at a sample and reads it, or takes it away. */
  private cross(at: number): void {
    this.at = at;
    const line = this.box.querySelector(".cross");
    const s = this.power.samples[at];
    if (!s) {
      line?.setAttribute("x1", "-10");
      line?.setAttribute("x2", "-10");
      say(this.readout, "");
      return;
    }
    const x = this.x(s.at);
    line?.setAttribute("x1", String(x));
    line?.setAttribute("x2", String(x));
    const list = this.series();
    say(this.readout, `${f.clock(s.at)} · ${list.map((e) => `${e.name} ${f.watts(e.values[at])}`).reverse().join(" · ")} · all ${f.watts(list.reduce((sum, e) => sum + e.values[at], 0))}`);
  }
}

/** The next 1, 2, 3, 4, 5, 6 or 8 times a power of ten. */
function nice(v: number): number {
  const ten = 10 ** Math.floor(Math.log10(v));
  return (([1, 1.2, 1.6, 2, 2.4, 3.2, 4, 5, 6, 8].find((m) => m * ten >= v) ?? 10) * ten);
}
