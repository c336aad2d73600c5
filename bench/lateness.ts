import {mkdir, mkdtemp, readdir, rm, stat} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {type DebianCron, startDebianCron} from './debian-cron.ts';
import {type LoneRuntime, startLoneRuntimes} from './lone-runtime.ts';
import {putCrontab} from './put-crontab.ts';
import {type Bench, type Figure, histogramLine, percentile} from './result.ts';

const sizes = [1, 100, 1000];
const minuteMs = 60_000;
/** Time to put a crontab in place before its minute; Debian's cron looks at the minute before. */
const leadMs = 5000;

/** What the promise is: p99, counted from second 0. At 1,000 jobs half of Debian's. */
const limitsMs: Readonly<Record<number, number>> = {1: 20, 100: 300};

interface Burst {
  /** From second 0 of the minute to the job's first act, in ms. */
  readonly lateness: readonly number[];
  readonly lost: number;
}

export const latenessBench: Bench = {
  name: 'lateness',
  summary: '1, 100 and 1,000 jobs due in the same minute, beside the cron of Debian (some ten minutes)',
  async run({progress, teardown}) {
    const directory = await mkdtemp(join(tmpdir(), 'bt-bench-'));
    teardown(() => rm(directory, {recursive: true, force: true}));
    const [runtime] = await startLoneRuntimes(1, {teardown});
    if (runtime === undefined) throw new Error('No runtime was started.');
    const debian = await startDebianCron({teardown});
    const figures: Figure[] = [];
    const notes: string[] = [];
    const values: Record<string, unknown> = {};
    for (const size of sizes) {
      progress(`${size} jobs here`);
      const ours = await ourBurst(runtime, join(directory, `ours-${size}`), size);
      const most = limitsMs[size];
      const label = `${size} ${size === 1 ? 'job' : 'jobs'}: lateness p99`;
      const value = percentile(ours.lateness, 0.99);
      figures.push({label, value, unit: 'ms', ...(most === undefined ? {} : {limit: most})});
      figures.push({
        label: `${size} ${size === 1 ? 'job' : 'jobs'}: lost`,
        value: ours.lost,
        unit: 'jobs',
        limit: 0,
      });
      notes.push(`${size} jobs here: ${histogramLine(ours.lateness)}`);
      values[`ours_${size}`] = ours;
      if (debian === null) continue;
      progress(`${size} jobs in Debian's cron`);
      const theirs = await debianBurst(debian, join(directory, `debian-${size}`), size);
      const peer = {label: "Debian's cron", value: percentile(theirs.lateness, 0.99)};
      figures.push({label, value, unit: 'ms', peer: size === 1000 ? {...peer, most: 0.5} : peer});
      notes.push(`${size} jobs in Debian's cron, ${theirs.lost} lost: ${histogramLine(theirs.lateness)}`);
      values[`debian_${size}`] = theirs;
    }
    if (debian === null) notes.push("SKIPPED Debian's cron: it is not installed, or this is not root");
    else {
      progress('change to active');
      const startMs = performance.now();
      await putCrontab(runtime, '0 3 1 1 * true\n');
      const changeMs = performance.now() - startMs;
      const writtenMs = Date.now();
      await debian.put('0 3 1 1 * true\n');
      const debianMs = (await debian.loadedAtMs()) - writtenMs;
      figures.push({
        label: 'from a change to active',
        value: changeMs,
        unit: 'ms',
        peer: {label: "Debian's cron", value: debianMs},
      });
      notes.push(
        "Debian's cron looks for changes once a minute: a change waits 0 to 60 s, here by chance so long",
      );
    }
    return {name: 'lateness', figures, values, notes};
  },
};

async function ourBurst(runtime: LoneRuntime, directory: string, size: number): Promise<Burst> {
  await mkdir(directory);
  const dueMs = await untilBefore();
  await putCrontab(runtime, crontab(directory, size));
  await Bun.sleep(dueMs + 1000 - Date.now());
  // The minute after must not find the same lines.
  await putCrontab(runtime, '');
  return collect(directory, size, dueMs);
}

async function debianBurst(debian: DebianCron, directory: string, size: number): Promise<Burst> {
  await mkdir(directory);
  const dueMs = await untilBefore();
  await debian.put(crontab(directory, size));
  await Bun.sleep(dueMs + minuteMs / 2 - Date.now());
  await debian.put('');
  return collect(directory, size, dueMs);
}

/** Waits until shortly before a full minute, and gives back that minute, epoch ms. */
async function untilBefore(): Promise<number> {
  const dueMs = Math.ceil((Date.now() + leadMs) / minuteMs) * minuteMs;
  await Bun.sleep(dueMs - leadMs - Date.now());
  return dueMs;
}

/** Each job leaves a file at its first act, without a process of its own. */
function crontab(directory: string, size: number): string {
  return Array.from({length: size}, (_, index) => `* * * * * : > ${directory}/${index}\n`).join('');
}

async function collect(directory: string, size: number, dueMs: number): Promise<Burst> {
  const untilMs = dueMs + minuteMs - leadMs;
  let names = await readdir(directory);
  while (names.length < size && Date.now() < untilMs) {
    await Bun.sleep(200);
    names = await readdir(directory);
  }
  const files = await Promise.all(names.map((name) => stat(join(directory, name))));
  return {lateness: files.map(({mtimeMs}) => mtimeMs - dueMs), lost: size - names.length};
}
