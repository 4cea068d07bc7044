// What is degraded, and when it will be whole.

import * as api from "./api";
import { by, h, put } from "./dom";
import * as f from "./format";

export class RepairCard {
  private said = "";

  constructor(act: (what: () => Promise<unknown>) => Promise<void>) {
    by("repair-now").addEventListener("click", () => void act(api.repair));
  }

  show(s: api.State, session: api.Session): void {
    const t = s.totals, r = s.repair;
    by("repair-now").hidden = !(session.buttons && r.automatic && !r.running && t.pending_repairs > 0);
    const away = groups(s);
    const lines = [...counts(s), ...when(s)];
    const working = r.running && t.pending_repairs > 0;
    const said = JSON.stringify([lines, away, working]);
    const bar = by("repair-body").querySelector("progress");
    if (bar) bar.value = part(r);
    if (said === this.said) return;
    this.said = said;
    put(by("repair-body"),
      ...lines.map((text, i) => h("p", { class: i === 0 ? "lead" : "" }, text)),
      working && h("progress", { max: "1", value: part(r), "aria-label": "Repair" }),
      away.length > 0 && h("div", {}, h("h3", {}, "Out of service"), h("ul", { class: "chips" }, ...away.map((a) => h("li", {}, a)))));
  }
}

/** How much of a round of repair is over, by time. */
function part(r: api.Repair): number {
  const past = r.running_seconds ?? 0;
  return past / Math.max(1, past + (r.whole_in_seconds ?? 0));
}

function counts(s: api.State): string[] {
  const t = s.totals.stripes;
  if (t.total === 0) return ["Nothing is stored yet, so nothing can be degraded."];
  if (t.degraded === 0 && s.totals.pending_repairs === 0) return [`All ${f.many(t.total, "stripe")} have all of their shards.`];
  const lost = t.unreadable ? ` ${f.count(t.unreadable)} of them cannot be read as things stand.` : "";
  return [`${f.count(t.degraded)} of ${f.many(t.total, "stripe")} lack shards.${lost}`];
}

function when(s: api.State): string[] {
  const r = s.repair, t = s.totals;
  if (t.pending_repairs === 0 && t.stripes.degraded === 0) return [];
  if (!r.automatic) return ["This server does not repair by itself (--upkeep-rate 0); `wattle repair` does."];
  if (r.running) return [r.whole_in_seconds === undefined ? "Repair is looking at the disks." : `Repair is at work${r.pace_measured ? `, ${f.bytes(r.bytes_per_second ?? 0)} of shards a second` : ""}: about ${about(r.whole_in_seconds)} left.`];
  if (r.blocked_stripes) return [`${f.many(r.blocked_stripes, "stripe")} cannot be made whole on the disks that are left within the placement rule: restore what is out of service, or add disks. Tried each minute; next in ${about(r.next_round_seconds ?? 0)}.`];
  return [`Repair begins in ${about(r.next_round_seconds ?? 0)}; whole in about ${about(r.whole_in_seconds ?? 0)}, at up to ${f.bytes(r.bytes_per_second ?? 0)} read and written a second, where the disks that are left can take it.`];
}

/** Rounded, so that a live region does not count seconds aloud. */
const about = (s: number): string => f.span(s < 10 ? Math.max(1, Math.round(s)) : s < 120 ? 5 * Math.round(s / 5) : 60 * Math.round(s / 60));

/** The domains that are wholly away, and the disks of others. */
function groups(s: api.State): string[] {
  const list: string[] = [];
  const gone = (d: api.Disk) => d.state === "failed" || d.state === "missing";
  for (const site of s.sites) {
    const all = site.racks.flatMap((r) => r.hosts.flatMap((x) => x.disks));
    if (all.length && all.every(gone)) {
      list.push(`${site.name}, all ${f.many(all.length, "disk")}`);
      continue;
    }
    for (const rack of site.racks) for (const host of rack.hosts) {
      const n = host.disks.filter(gone);
      if (n.length === host.disks.length && n.length > 1) list.push(`${site.name}/${rack.name}/${host.name}, all ${f.many(n.length, "disk")}`);
      else for (const d of n) list.push(`${site.name}/${rack.name}/${host.name}/${d.name}${d.why ? `: ${d.why}` : ""}`);
    }
  }
  return list.length > 24 ? [...list.slice(0, 24), `and ${f.count(list.length - 24)} more`] : list;
}
