/** One figure with what it is held against. */
export interface Figure {
  readonly label: string;
  readonly value: number;
  readonly unit: 'ms' | 'µs' | 'MB' | 'MB/s' | '%' | 'processes' | 'jobs';
  /** What the product promises: the value should stay below it. */
  readonly limit?: number;
  /** The same work done by something else in the same run. The value should be at most `most` of the peer's, or at least `least`. */
  readonly peer?: {
    readonly label: string;
    readonly value: number;
    readonly most?: number;
    readonly least?: number;
  };
}

/** What one bench measured. `values` is what `--json` prints beside the name. */
export interface BenchResult {
  readonly name: string;
  readonly figures: readonly Figure[];
  readonly values: Readonly<Record<string, unknown>>;
  /** Lines that explain the figures, shown under the table. */
  readonly notes: readonly string[];
}

export interface Bench {
  readonly name: string;
  readonly summary: string;
  run(options: BenchOptions): Promise<BenchResult>;
}

export interface BenchOptions {
  /** Says what is being done; goes to stderr. */
  readonly progress: (text: string) => void;
  readonly teardown: (end: () => unknown) => void;
}

const headings = ['BENCH', 'FIGURE', 'MEASURED', 'AGAINST', 'RATIO', ''];

/** A Markdown table, so that it can be pasted into `docs/benchmarks.md` as it is. */
export function resultTable(results: readonly BenchResult[]): string {
  const rows = results.flatMap(({name, figures}) => figures.map((figure) => figureRow(name, figure)));
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...rows.map((row) => row[column]?.length ?? 0)),
  );
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |\n`;
  const rule = `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|\n`;
  return line(headings) + rule + rows.map(line).join('');
}

function figureRow(name: string, {label, value, unit, limit, peer}: Figure): string[] {
  const measured = amount(value, unit);
  if (limit !== undefined) {
    const verdict = value < limit || (isCount(unit) && value === limit) ? 'within' : 'OVER';
    return [
      name,
      label,
      measured,
      `limit ${amount(limit, unit)}`,
      limit === 0 ? '' : ratio(value / limit),
      verdict,
    ];
  }
  if (peer !== undefined)
    return [
      name,
      label,
      measured,
      `${peer.label} ${amount(peer.value, unit)}`,
      ratio(value / peer.value),
      peerVerdict(value / peer.value, peer),
    ];
  return [name, label, measured, '', '', ''];
}

function peerVerdict(share: number, {most, least}: NonNullable<Figure['peer']>): string {
  if (most !== undefined && share > most) return 'OVER';
  if (least !== undefined && share < least) return 'BELOW';
  return most === undefined && least === undefined ? '' : 'within';
}

function amount(value: number, unit: Figure['unit']): string {
  if (isCount(unit)) return String(value);
  return `${value < 1 ? value.toFixed(3) : value.toFixed(1)} ${unit}`;
}

function isCount(unit: Figure['unit']): boolean {
  return unit === 'processes' || unit === 'jobs';
}

function ratio(value: number): string {
  return `${value < 0.1 ? value.toFixed(4) : value.toFixed(2)} x`;
}

/** Nearest rank: the smallest value that at least `share` (0 to 1) of all values do not exceed. NaN without values. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

/** Counts by upper bound in ms; the last bucket takes everything above. */
export function histogram(values: readonly number[]): {below_ms: number | null; count: number}[] {
  const bounds = [10, 20, 30, 50, 75, 100, 150, 200, 300, 400, 500, 1000];
  const buckets = bounds.map((below, index) => {
    const from = bounds[index - 1] ?? 0;
    return {below_ms: below, count: values.filter((value) => value >= from && value < below).length};
  });
  const above = {below_ms: null, count: values.filter((value) => value >= (bounds.at(-1) ?? 0)).length};
  return [...buckets, above].filter(({count}) => count > 0);
}

export function histogramLine(values: readonly number[]): string {
  return histogram(values)
    .map(({below_ms, count}) => `${below_ms === null ? 'more' : `<${below_ms} ms`}: ${count}`)
    .join(', ');
}
