import {Cron} from 'croner';
import {parseCrontab} from '../schemas/crontab.ts';
import {nextRun} from '../schemas/schedule/next-run.ts';
import {parseSchedule} from '../schemas/schedule/parse.ts';
import {createZone} from '../schemas/schedule/zone.ts';
import {type LoneRuntime, startLoneRuntimes} from './lone-runtime.ts';
import {cpuSeconds, memoryMegabytes, ticksPerSecond} from './process-usage.ts';
import {putCrontab} from './put-crontab.ts';
import {type Bench, percentile} from './result.ts';

const zoneName = 'Europe/Berlin';
const entries = 10_000;
/** Pages of the program are shared by all processes that run it, as on a machine with as many containers. */
const runtimes = 20;
const settleMs = 30_000;
const cpuMs = 60_000;

/** What people write, a rare date among it. */
const expressions = [
  '* * * * *',
  '*/5 * * * *',
  '0 1 * * *',
  '30 4 1,15 * *',
  '0 9-17 * * 1-5',
  '15 2 * * 0',
  '0 0 1 1 *',
  '5,35 6 * 3-10 *',
];

/** 10,000 different commands at all times of the day, none of them due within the bench. */
function longCrontab(): string {
  const month = ((new Date().getUTCMonth() + 6) % 12) + 1;
  const lines = Array.from(
    {length: entries},
    (_, index) =>
      `${index % 60} ${Math.floor(index / 60) % 24} ${(index % 28) + 1} ${month} * ./j ${index}\n`,
  );
  return lines.join('');
}

export const cronBench: Bench = {
  name: 'cron',
  summary: 'next runs beside croner, a crontab of 10,000 lines: parsing, PUT, memory and CPU',
  async run({progress, teardown}) {
    progress('computing next runs');
    const {ours, peers} = nextRunMicroseconds();
    const text = longCrontab();
    const parses = Array.from({length: 15}, () =>
      milliseconds(() => parseCrontab(text, {file: 'crontab', managedAllowed: true})),
    );
    progress('putting crontabs');
    const [runtime] = await startLoneRuntimes(runtimes, {teardown});
    if (runtime === undefined) throw new Error('No runtime was started.');
    await Bun.sleep(settleMs);
    const before = memoryMegabytes(runtime.pid, 'Pss');
    const small = await putTimes(runtime, 50);
    const long = await putLong(runtime, text);
    progress(`waiting ${settleMs / 1000} s`);
    await Bun.sleep(settleMs);
    const after = memoryMegabytes(runtime.pid, 'Pss');
    progress(`measuring CPU for ${cpuMs / 1000} s`);
    const cpu = await cpuPercent(runtime.pid);
    const croner = {label: 'croner', value: peers, most: 1 / 15};
    return {
      name: 'cron',
      figures: [
        {
          label: `next run in ${zoneName}, mean of ${expressions.length} schedules`,
          value: ours,
          unit: 'µs',
          peer: croner,
        },
        {label: 'parsing 10,000 lines, first time', value: parses[0] ?? Number.NaN, unit: 'ms', limit: 50},
        {label: 'parsing 10,000 lines, p50', value: percentile(parses, 0.5), unit: 'ms', limit: 50},
        {
          label: 'PUT of one line until it is active, p50',
          value: percentile(small, 0.5),
          unit: 'ms',
          limit: 50,
        },
        {label: 'PUT of one line until it is active, p99', value: percentile(small, 0.99), unit: 'ms'},
        {label: 'PUT of 10,000 lines until its answer', value: long.answerMs, unit: 'ms'},
        {
          label: 'from that answer until the entries show their next run',
          value: long.activeMs,
          unit: 'ms',
          limit: 100,
        },
        {label: 'PSS of the runtime with 10,000 entries, one of 20', value: after, unit: 'MB', limit: 40},
        {label: 'CPU with 10,000 entries over a minute', value: cpu, unit: '%', limit: 0.1},
      ],
      values: {
        next_run_us: ours,
        croner_us: peers,
        parse_ms: parses,
        put_ms: small,
        long,
        pss_mb: {before, after},
        cpu_percent: cpu,
      },
      notes: [
        `PSS before the PUT of 10,000 lines: ${before.toFixed(1)} MB`,
        `over ${cpuMs / 1000} s one tick of the CPU clock is ${((100 / ticksPerSecond / cpuMs) * 1000).toFixed(3)} % of a core`,
      ],
    };
  },
};

/** Mean of a single call. Each engine keeps its schedule between calls, and begins at another minute each time. */
function nextRunMicroseconds(): {ours: number; peers: number} {
  const zone = createZone(zoneName);
  const from = Date.parse('2026-03-01T00:00:00Z');
  const times = Array.from({length: 2000}, (_, index) => from + index * 7 * 61 * 60_000);
  const schedules = expressions.map((text) => {
    const parsed = parseSchedule(text);
    if (!parsed.ok) throw new Error(parsed.issue.message);
    return parsed.schedule;
  });
  const crons = expressions.map((text) => new Cron(text, {paused: true, timezone: zoneName, mode: '5-part'}));
  const dates = times.map((time) => new Date(time));
  const oursOnce = () => {
    for (const schedule of schedules) for (const time of times) nextRun(schedule, zone, time);
  };
  const peersOnce = () => {
    for (const cron of crons) for (const date of dates) cron.nextRun(date);
  };
  for (const [index, cron] of crons.entries()) {
    const [schedule, date] = [schedules[index], dates[0]];
    if (schedule === undefined || date === undefined) continue;
    if (cron.nextRun(date)?.getTime() !== nextRun(schedule, zone, date.getTime()))
      throw new Error(`The engines disagree on ${expressions[index]}.`);
  }
  const calls = expressions.length * times.length;
  oursOnce();
  const ours = percentile(
    [1, 2, 3, 4, 5].map(() => milliseconds(oursOnce)),
    0.5,
  );
  const peers = percentile(
    [1, 2, 3].map(() => milliseconds(peersOnce)),
    0.5,
  );
  return {ours: (ours / calls) * 1000, peers: (peers / calls) * 1000};
}

async function putTimes(runtime: LoneRuntime, count: number): Promise<number[]> {
  const times: number[] = [];
  for (let index = 0; index < count; index += 1) {
    const startMs = performance.now();
    await putCrontab(runtime, `${index} 3 1 1 * true\n`);
    times.push(performance.now() - startMs);
  }
  return times;
}

/** Of the PUT and of the first look at the entries after its answer. */
async function putLong(runtime: LoneRuntime, text: string): Promise<{answerMs: number; activeMs: number}> {
  const startMs = performance.now();
  await putCrontab(runtime, text);
  const answeredMs = performance.now();
  const response = await fetch(`${runtime.url}/users/root/entries?page=${entries}&limit=1`);
  const {entries: items} = (await response.json()) as {entries: {next_run: string | null}[]};
  if (items[0]?.next_run == null) throw new Error('The last line has no next run after the PUT.');
  return {answerMs: answeredMs - startMs, activeMs: performance.now() - answeredMs};
}

async function cpuPercent(pid: number): Promise<number> {
  const before = cpuSeconds(pid);
  const startMs = performance.now();
  await Bun.sleep(cpuMs);
  return ((cpuSeconds(pid) - before) / ((performance.now() - startMs) / 1000)) * 100;
}

function milliseconds(task: () => unknown): number {
  const startMs = performance.now();
  task();
  return performance.now() - startMs;
}
