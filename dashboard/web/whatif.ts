// The what-if panel: sliders, and what the model answers as they move.

import * as api from "./api";
import { by, h, put, say } from "./dom";
import * as f from "./format";

interface Control {
  name: string; // of the parameter, as in doc/dashboard.md
  label: string;
  input: HTMLInputElement | HTMLSelectElement;
  output: HTMLElement;
  value: () => string; // as sent
  text: () => string;
  flag: string;
  touched: boolean;
  fallback?: (r: api.Report) => { at?: number; text: string }; // what the model takes when it is not touched
}

export class Plan {
  private controls: Control[] = [];
  private choices?: api.Choices;
  private running?: AbortController;
  private again = false;
  private busy = false;
  private suggested = false;

  async begin(): Promise<void> {
    if (this.choices) return;
    this.choices = await api.choices();
    this.build();
    by("whatif-reset").addEventListener("click", () => {
      this.controls = [];
      this.suggested = false;
      this.build();
      void this.ask();
    });
  }

  /** Takes scheme and sites from the cluster, once. */
  suggest(s: api.State): void {
    if (this.suggested || !this.choices) return;
    this.suggested = true;
    this.state = s;
    this.build();
    void this.ask();
  }

  private state?: api.State;

  private build(): void {
    const schemes = this.choices!.schemes;
    const s = this.state;
    const usable = h("input", { type: "number", id: "w-usable", min: "1", max: "1000000", step: "any", value: "10000", inputmode: "decimal" });
    const scheme = range("w-scheme", 0, schemes.length - 1, 1, Math.max(0, schemes.findIndex((x) => x.scheme === (s?.scheme ?? "rs:9+6"))));
    const chosen = () => schemes[Number(scheme.value)];
    const disk = this.disks();
    const input = (i: HTMLInputElement | HTMLSelectElement) => () => i.value;
    this.controls = [];
    this.control({ name: "usable_tb", label: "Usable terabytes", input: usable, value: input(usable), text: () => `${f.num(Number(usable.value))} TB`, flag: "--usable", touched: true });
    this.control({ name: "scheme", label: "Scheme", input: scheme, value: () => chosen().scheme, text: () => `${chosen().scheme} · ${f.num(chosen().overhead)}× raw`, flag: "--scheme", touched: true });
    this.control({ name: "disk", label: "Disk", input: disk, value: input(disk), text: () => "", flag: "--disk", touched: false, fallback: (r) => ({ text: `model’s default: ${r.options[0].disk}` }) });
    this.slider("sites", "Sites", range("w-sites", 1, 6, 1, Math.min(6, s?.sites.length ?? 3)), "", "--sites", true);
    this.slider("fill", "Fill", range("w-fill", 5, 100, 1, 70), "%", "--fill", false, "fill");
    this.slider("pue", "PUE", range("w-pue", 1, 2.5, 0.01, 1.58), "", "--pue", false, "pue");
    this.slider("grid", "Grid, g CO2e/kWh", range("w-grid", 0, 900, 5, 380), "g/kWh", "--grid", false, "grid/EU");
    this.slider("price_kwh", "Electricity, €/kWh", range("w-price", 0, 0.6, 0.01, 0.2), "€/kWh", "--price-kwh", false);
    put(by("plan"), ...this.controls.map((c) => h("div", { class: "control" }, h("label", { for: c.input.id }, c.label), c.output, c.input)));
    by("plan").onsubmit = (e) => e.preventDefault();
    this.controls.forEach((c) => this.label(c));
  }

  private disks(): HTMLSelectElement {
    const kinds = [...new Set(this.choices!.disks.map((d) => d.technology || d.kind))].sort();
    return h("select", { id: "w-disk" }, h("option", { value: "" }, "model’s default"),
      ...kinds.map((k) => h("optgroup", { label: k }, ...this.choices!.disks.filter((d) => (d.technology || d.kind) === k)
        .map((d) => h("option", { value: d.id }, `${d.model || d.id} · ${f.num(d.capacity_tb)} TB, ${f.num(d.idle_w)} W idle`)))));
  }

  private slider(name: string, label: string, input: HTMLInputElement, unit: string, flag: string, touched: boolean, known?: string): void {
    const scale = unit === "%" ? 100 : 1;
    this.control({
      name, label, input, flag, touched, value: () => String(Number(input.value) / scale), text: () => `${f.num(Number(input.value))}${unit && ` ${unit}`}`,
      fallback: (r) => {
        const e = known ? (r.inputs[known] ?? r.defaults[known]) : undefined;
        if (!e) return { text: "not given" };
        const band = e.low === e.high ? "" : ` (${f.num(e.low * scale)} to ${f.num(e.high * scale)})`;
        return { at: e.typical * scale, text: `${f.num(e.typical * scale)}${band}${unit && ` ${unit}`}, default` };
      },
    });
  }

  private control(c: Omit<Control, "output">): void {
    const full = { ...c, output: h("output", { for: c.input.id }) };
    c.input.addEventListener("input", () => {
      full.touched = c.name !== "disk" || c.input.value !== "";
      this.label(full);
      void this.ask();
    });
    this.controls.push(full);
  }

  private label(c: Control, r?: api.Report): void {
    let text = c.text();
    if (!c.touched && r && c.fallback) {
      const d = c.fallback(r);
      text = d.text;
      if (d.at !== undefined) c.input.value = String(d.at);
    } else if (!c.touched) text = "";
    say(c.output, text);
    if (c.input instanceof HTMLInputElement && c.input.type === "range") c.input.setAttribute("aria-valuetext", text || "model’s default");
    c.input.closest(".control")?.classList.toggle("untouched", !c.touched);
  }

  /** Asks the model for what the sliders say; while it thinks, only the newest question waits. */
  private async ask(): Promise<void> {
    if (this.busy) {
      this.again = true;
      return;
    }
    this.busy = true;
    do {
      this.again = false;
      await this.answer();
    } while (this.again);
    this.busy = false;
  }

  private async answer(): Promise<void> {
    const q = new URLSearchParams();
    for (const c of this.controls) if (c.touched) q.set(c.name, c.value());
    this.running = new AbortController();
    try {
      const r = await api.whatif(q, this.running.signal);
      this.controls.forEach((c) => this.label(c, r));
      this.show(r);
    } catch (e) {
      put(by("answer"), h("p", { class: "error", role: "alert" }, e instanceof api.Refusal ? `The model refuses: ${e.message}.` : "The server does not answer."));
    }
  }

  private show(r: api.Report): void {
    const o = r.options[0], b = r.baseline;
    const box = by("answer");
    if (!box.querySelector(".verdict")) put(box, h("p", { class: "verdict", role: "status" }), h("div", { class: "pairs" }), h("dl", { class: "facts small" }), h("ul", { class: "note" }), h("p", { class: "note command" }));
    const [verdict, pairs, facts, notes, command] = box.children as unknown as HTMLElement[];
    verdict.className = `verdict ${o.verdict}`;
    say(verdict, judge(o, b));
    put(pairs,
      pair("Power per stored TB", "W/TB", o, b, (x) => x.w_per_stored_tb, 1),
      pair("Energy a year", "kWh", o, b, (x) => x.kwh_per_year, 1),
      pair("Carbon a year, location-based", "t CO2e", o, b, (x) => x.kgco2e_location_per_year, 1e-3),
      pair("Electricity a year", "€", o, b, (x) => x.eur_energy_per_year, 1));
    put(facts,
      small("Drives", `${f.count(Math.ceil(o.drives))} in ${f.many(Math.ceil(o.servers), "server")}`, `bound by ${o.bound_by}`),
      small("Survives", `${f.many(o.sites_survived, "site")} + ${f.many(o.left_over, "shard")}`, o.nines_disasters ? `${f.num(o.nines_disasters.typical)} nines a year, disasters too` : ""),
      small("Same safety in copies", `${f.num(o.ratio_twin.typical)}× of ${o.twin}`, o.verdict_twin === "indistinct" ? "indistinct" : `${f.num(o.ratio_twin.low)} to ${f.num(o.ratio_twin.high)}`),
      small("Boundary", r.boundary, "drives, servers, racks, cooling"));
    put(notes, ...[...new Set([...r.warnings, ...o.warnings])].map((w) => h("li", {}, w)), h("li", {}, `Not counted: ${r.not_counted.join("; ")}.`));
    put(command, "The same on the command line: ", h("code", {}, this.command()));
  }

  private command(): string {
    return ["wattle whatif", ...this.controls.filter((c) => c.touched).map((c) => `${c.flag} ${c.value()}${c.name === "usable_tb" ? "TB" : ""}`)].join(" ");
  }
}

const range = (id: string, min: number, max: number, step: number, value: number): HTMLInputElement => h("input", { type: "range", id, min, max, step, value });

function small(name: string, value: string, note: string): HTMLElement {
  return h("div", {}, h("dt", {}, name), h("dd", {}, h("b", {}, value), h("span", {}, note)));
}

function judge(o: api.Option, b: api.Option): string {
  const { low, typical, high } = o.ratio;
  const band = `${f.num(typical)}× per stored TB, ${f.num(low)} to ${f.num(high)}`;
  if (o.verdict === "indistinct") return o.scheme === b.scheme && o.sites === b.sites && low === high ? `${o.name} is the baseline` : `Indistinct from ${b.name}: ${band} contains 1`;
  const part = f.percent(Math.abs(1 - typical));
  return `${part} ${o.verdict} than ${b.name}: ${band}`;
}

/** The option and the baseline on one scale, with their bands. */
function pair(title: string, unit: string, o: api.Option, b: api.Option, get: (x: api.Option) => api.Estimate | null, scale: number): HTMLElement {
  const mine = get(o), base = get(b);
  if (!mine || !base) return h("div", { class: "pair" }, h("h3", {}, title), h("p", { class: "note" }, "No price was given: move the slider of the electricity’s price."));
  const top = Math.max(mine.high, base.high) || 1;
  const row = (name: string, e: api.Estimate, cls: string) => {
    const value = `${f.num(e.typical * scale)} ${unit}`, band = `${f.num(e.low * scale)} to ${f.num(e.high * scale)} ${unit}`;
    const fill = h("i", { class: `fill ${cls}` }), whisker = h("i", { class: "whisker" });
    fill.style.width = `${(100 * e.typical) / top}%`;
    whisker.style.left = `${(100 * e.low) / top}%`;
    whisker.style.width = `${(100 * (e.high - e.low)) / top}%`;
    return h("div", { class: "row" }, h("span", { class: "name" }, name), h("div", { class: "track", "aria-hidden": "true", title: band }, fill, whisker),
      h("span", { class: "value" }, h("b", {}, value), h("span", {}, band)));
  };
  return h("div", { class: "pair" }, h("h3", {}, title), row(o.name, mine, "mine"), row(b.name, base, "base"));
}
