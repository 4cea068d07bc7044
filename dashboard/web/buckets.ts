// Who bears the energy, and how much of their quotas is taken.

import * as api from "./api";
import { by, h, put } from "./dom";
import * as f from "./format";

const causes = ["idle", "put", "get", "repair", "scrub", "rebalance", "coding", "upkeep"];
const unallocated = "(unallocated)";

export class Buckets {
  private said = "";

  show(s: api.State): void {
    quotas(s.quotas);
    const said = JSON.stringify(s.buckets.map((b) => [b.name, f.energy(b.joules), f.percent(b.share)]));
    if (said === this.said) return;
    this.said = said;
    const used = causes.filter((c) => s.buckets.some((b) => b.by_cause[c]));
    put(by("bucket-legend"), ...used.map((c) => h("span", {}, h("i", { class: `swatch c-${c}`, "aria-hidden": "true" }), c)));
    if (s.buckets.length === 0) {
      put(by("bucket-table"), h("p", { class: "lead" }, "Nothing was used yet."));
      return;
    }
    const top = Math.max(0, ...s.buckets.filter((b) => b.name !== unallocated).map((b) => b.joules));
    put(by("bucket-table"), h("table", { class: "bars" },
      h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Bucket"), h("th", { scope: "col", class: "wide" }, "By cause"), h("th", { scope: "col" }, "Energy"), h("th", { scope: "col" }, "Share"))),
      h("tbody", {}, ...s.buckets.map((b) => h("tr", {}, h("th", { scope: "row" }, b.name), h("td", { class: "wide" }, b.name === unallocated ? h("span", { class: "note" }, "capacity that no object holds; not to scale") : bar(b, used, top)),
        h("td", { class: "n" }, f.energy(b.joules)), h("td", { class: "n" }, f.percent(b.share)))))));
    const whole = s.buckets.reduce((n, b) => n + b.joules, 0);
    put(by("bucket-note"), `${f.energy(whole)} since ${f.date(s.energy.since)}: ${s.energy.boundary}, modelled. The buckets and what no bucket holds sum to the meter.`);
  }
}

function bar(b: api.Bucket, used: string[], top: number): HTMLElement {
  const parts = used.filter((c) => b.by_cause[c]).map((c) => {
    const part = h("i", { class: `c-${c}`, title: `${c}: ${f.energy(b.by_cause[c])}` });
    part.style.width = `${(100 * b.by_cause[c]) / top}%`;
    return part;
  });
  return h("div", { class: "bar", role: "img", "aria-label": used.filter((c) => b.by_cause[c]).map((c) => `${c} ${f.energy(b.by_cause[c])}`).join(", ") }, ...parts);
}

let quotasSaid = "";

function quotas(list: api.Quota[]): void {
  const said = JSON.stringify(list);
  if (said === quotasSaid) return;
  quotasSaid = said;
  if (list.length === 0) {
    put(by("quota-table"));
    return;
  }
  put(by("quota-table"), h("table", { class: "bars" },
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Quota of"), h("th", { scope: "col", class: "wide" }, "Filled"), h("th", { scope: "col" }, "Holds"), h("th", { scope: "col" }, "Taken"))),
    h("tbody", {}, ...list.map((q) => {
      const full = h("i", { class: q.part >= 0.9 ? "q-full" : "q-free" });
      full.style.width = `${Math.min(100, 100 * q.part)}%`;
      return h("tr", {}, h("th", { scope: "row" }, q.user ? `user ${q.name}` : q.name), h("td", { class: "wide" }, h("div", { class: "bar", "aria-hidden": "true" }, full)),
        h("td", { class: "n" }, holds(q)), h("td", { class: "n" }, f.percent(q.part)));
    }))));
}

function holds(q: api.Quota): string {
  const parts = [];
  if (q.most_bytes) parts.push(`${f.bytes(q.bytes)} of ${f.bytes(q.most_bytes)}`);
  if (q.most_objects) parts.push(`${f.count(q.objects)} of ${f.many(q.most_objects, "object")}`);
  return parts.join(", ");
}
