// What the server says; doc/dashboard.md describes it.

export interface Session {
  signed_in?: string;
  sign_in_required: boolean;
  buttons: boolean;
  why?: string;
}

export interface Disk {
  name: string;
  state: "active" | "suspect" | "failed" | "missing";
  why?: string;
  power: string;
  watts: number;
  joules: number;
  starts: number;
  profile: string;
  capacity: number;
  used: number;
  live: number;
  target: number;
  bad_shards: number;
  errors: number;
  draining?: boolean;
}
export interface Host { name: string; disks: Disk[] }
export interface Rack { name: string; hosts: Host[] }
export interface Site { name: string; racks: Rack[] }

export interface Survival { sites: number; disks: number }

export interface Repair {
  automatic: boolean;
  running: boolean;
  running_seconds?: number;
  done_bytes?: number;
  total_bytes?: number;
  bytes_per_second?: number;
  pace_measured: boolean;
  next_round_seconds?: number;
  whole_in_seconds?: number;
  blocked_stripes?: number;
  lost_stripes?: number;
}

export interface Bucket { name: string; joules: number; share: number; by_cause: Record<string, number> }

export interface State {
  at: string;
  id: string;
  scheme: string;
  overhead: number;
  rule: string;
  epoch: number;
  health: "whole" | "degraded" | "lost";
  totals: {
    buckets: number; objects: number; stored_bytes: number; raw_bytes: number; capacity_bytes: number; usable_bytes: number;
    stripes: { total: number; degraded: number; unreadable: number; misplaced: number };
    pending_repairs: number; survives: Survival; promise: Survival; writable: boolean; writable_site_down: boolean; why?: string;
    disks_away: number; disks: number;
  };
  energy: { watts: number; w_per_usable_tb: number; w_per_stored_tb: number | null; joules: number; since: string; boundary: string; status: string };
  repair: Repair;
  sites: Site[];
  buckets: Bucket[];
  quotas: Quota[];
}

export interface Quota { name: string; user: boolean; bytes: number; objects: number; most_bytes: number; most_objects: number; part: number }

export interface Sample { at: number; seconds: number; watts: (number[] | null)[]; coding_watts: number }
export interface Power { every_seconds: number; sites: string[]; states: string[]; samples: Sample[] }

export interface Choices {
  schemes: { scheme: string; overhead: number }[];
  disks: { id: string; model: string; kind: string; technology: string; capacity_tb: number; idle_w: number }[];
}

export interface Estimate { low: number; typical: number; high: number; unit: string; status: string; source: string }

export interface Option {
  name: string; scheme: string; disk: string; sites: number; fill: number; drives: number; servers: number; racks: number; bound_by: string;
  raw_tb: number; usable_tb: number; stored_tb: number;
  watts: Estimate; w_per_stored_tb: Estimate; kwh_per_year: Estimate; kgco2e_location_per_year: Estimate | null; eur_energy_per_year: Estimate | null;
  sites_survived: number; left_over: number; ratio: Estimate; verdict: "less" | "more" | "indistinct";
  ratio_twin: Estimate; twin: string; verdict_twin: "less" | "more" | "indistinct";
  nines_disasters?: Estimate; warnings: string[];
}

export interface Report {
  boundary: string; baseline: Option; options: Option[]; defaults: Record<string, Estimate>; inputs: Record<string, Estimate>;
  sources: Record<string, { title: string; publisher?: string; year?: number }>; warnings: string[]; not_counted: string[];
}

/** A refusal of the server: its status, and what it says. */
export class Refusal extends Error {
  constructor(readonly status: number, text: string) {
    super(text);
  }
}

async function ask<T>(path: string, init: RequestInit = {}): Promise<T> {
  const limit = AbortSignal.timeout(15_000);
  const signal = init.signal ? AbortSignal.any([init.signal, limit]) : limit;
  const res = await fetch("api/" + path, { ...init, signal, credentials: "same-origin", redirect: "error" });
  if (res.status === 204) return undefined as T;
  const body = await res.json().catch(() => ({}));
  if (!res.ok) throw new Refusal(res.status, (body as { error?: string }).error ?? `the server answers ${res.status}`);
  return body as T;
}

const send = (path: string, body: unknown, method = "POST") =>
  ask<{ disks: string[] }>(path, { method, headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });

export const session = () => ask<Session>("session");
export const signIn = (access_key: string, secret_key: string) => send("session", { access_key, secret_key });
export const signOut = () => send("session", {}, "DELETE");
export const state = () => ask<State>("state");
export const power = (after: number) => ask<Power>(`power?after=${after}`);
export const choices = () => ask<Choices>("choices");
export const whatif = (q: URLSearchParams, signal: AbortSignal) => ask<Report>(`whatif?${q}`, { signal });
export const fail = (domain: string) => send("fail", { domain });
export const restore = (domain: string) => send("restore", { domain });
export const repair = () => send("repair", {});
