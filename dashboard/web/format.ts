// How figures are written: three digits that count, with their unit.

const plain = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });

/** Three significant digits, thousands in groups. */
export function num(v: number): string {
  if (!Number.isFinite(v)) return "–";
  return Math.abs(v) >= 1000 ? whole.format(Number(v.toPrecision(3))) : plain.format(v);
}

/** All digits of a count. */
export const count = (n: number): string => whole.format(n);

/** A count with its noun. */
export function many(n: number, noun: string, plural = noun + "s"): string {
  return `${count(n)} ${n === 1 ? noun : plural}`;
}

function scaled(v: number, units: string[], step = 1000): string {
  let i = 0;
  while (Math.abs(v) >= step && i < units.length - 1) {
    v /= step;
    i++;
  }
  return `${num(v)} ${units[i]}`;
}

export const bytes = (n: number): string => scaled(n, ["B", "kB", "MB", "GB", "TB", "PB", "EB"]);
export const watts = (w: number): string => scaled(w, ["W", "kW", "MW", "GW"]);

/** Joules as watt-hours: what a bill counts. */
export function energy(joules: number): string {
  const wh = joules / 3600;
  return Math.abs(wh) < 1 ? `${num(wh * 1000)} mWh` : scaled(wh, ["Wh", "kWh", "MWh", "GWh"]);
}

export const percent = (part: number): string => (part > 0 && part < 0.0001 ? "under 0.01 %" : `${num(100 * part)} %`);

/** A span in the one or two units that matter. */
export function span(seconds: number): string {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min${s < 600 && s % 60 ? ` ${s % 60} s` : ""}`;
  if (s < 48 * 3600) return `${Math.floor(s / 3600)} h${Math.floor((s % 3600) / 60) ? ` ${Math.floor((s % 3600) / 60)} min` : ""}`;
  return `${num(s / 86400)} days`;
}

export const clock = (ms: number): string => new Date(ms).toLocaleTimeString("en-GB");
export const date = (iso: string): string => new Date(iso).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" });
