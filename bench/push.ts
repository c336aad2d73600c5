import {readFileSync} from 'node:fs';
import {join} from 'node:path';
import {createControllerWorld, type RunningController} from '../test/helpers/controller-world.ts';
import {createPushWorld, importBranches, type PushWorld, type WorldFiles} from '../test/helpers/git-world.ts';
import {type Bench, histogram, histogramLine, percentile} from './result.ts';
import {untilActive, untilShown} from './until.ts';

const narrowBranches = 90;
const narrowFiles = 50;
const wideBranches = 10;
const wideFiles = 5000;
/** Pushes to each branch; every one of them changes the crontab. */
const narrowRounds = 2;
const wideRounds = 10;
const wideChanges = 10;

/** Epoch ms at which each part of one push was over. */
interface Sample {
  readonly pushedMs: number;
  readonly activeMs: number;
  readonly seenMs: number;
  readonly steps: readonly {readonly action: string; readonly atMs: number}[];
}

export const pushBench: Bench = {
  name: 'push',
  summary: '`git push` returned, until the crontab answers over the gateway; 100 branches with containers',
  async run({progress, teardown}) {
    const push = await createPushWorld({teardown});
    const names = Array.from({length: narrowBranches}, (_, index) => `narrow-${index}`);
    const wideNames = Array.from({length: wideBranches}, (_, index) => `wide-${index}`);
    progress(`making ${narrowBranches + wideBranches} branches`);
    for (const [branches, files] of [
      [names, treeOf(narrowFiles)],
      [wideNames, treeOf(wideFiles)],
    ] as const)
      await importBranches(push.clone, branches, (branch) => ({
        ...files,
        '.hoody/crontab': crontabOf(branch, 0),
      }));
    await push.clone.git('push', '--quiet', 'origin', 'refs/heads/*:refs/heads/*');

    const world = await createControllerWorld({teardown});
    const startedMs = Date.now();
    const controller = await world.up('--repo', push.origin.path, '--yes');
    progress('starting 100 containers');
    await untilActive(controller, narrowBranches + wideBranches);
    const allReadyMs = Date.now() - startedMs;

    const logPath = join(world.stateDirectory, 'controller.log');
    const pushTo = pusher(push, controller, logPath);
    const narrow: Sample[] = [];
    const wide: Sample[] = [];
    for (let round = 1; round <= narrowRounds; round += 1) {
      progress(`pushing to ${names.length} branches of ${narrowFiles} files, round ${round}`);
      for (const branch of names) narrow.push(await pushTo(branch, round, 1));
    }
    for (let round = 1; round <= wideRounds; round += 1) {
      progress(`pushing to ${wideNames.length} branches of ${wideFiles} files, round ${round}`);
      for (const branch of wideNames) wide.push(await pushTo(branch, round, wideChanges));
    }
    const all = [...names, ...wideNames];
    progress(`pushing ${all.length} branches at once`);
    const burstMs = await pushAll(push, controller, all);
    const narrowTimes = narrow.map(durationOf);
    const wideTimes = wide.map(durationOf);
    const fetchMs = await gatewayGetMs(controller);
    return {
      name: 'push',
      figures: [
        {label: '50 files, 1 changed: p50', value: percentile(narrowTimes, 0.5), unit: 'ms', limit: 150},
        {label: '50 files, 1 changed: p99', value: percentile(narrowTimes, 0.99), unit: 'ms', limit: 500},
        {label: '5,000 files, 10 changed: p50', value: percentile(wideTimes, 0.5), unit: 'ms', limit: 400},
        {label: '5,000 files, 10 changed: p99', value: percentile(wideTimes, 0.99), unit: 'ms'},
        {
          label: '50 files, 1 changed: p50',
          value: percentile(narrowTimes, 0.5),
          unit: 'ms',
          peer: {label: 'one GET over the gateway', value: fetchMs},
        },
        {
          label: `${all.length} branches in one push: until the last is active`,
          value: burstMs,
          unit: 'ms',
          limit: 10_000,
        },
        {
          label: `\`up\` until ${narrowBranches + wideBranches} branches are ready`,
          value: allReadyMs,
          unit: 'ms',
        },
      ],
      values: {
        p50_ms: percentile(narrowTimes, 0.5),
        p99_ms: percentile(narrowTimes, 0.99),
        pushes: narrowTimes.length,
        histogram: histogram(narrowTimes),
        parts_p50_ms: partsOf(narrow),
        large: {
          p50_ms: percentile(wideTimes, 0.5),
          p99_ms: percentile(wideTimes, 0.99),
          pushes: wideTimes.length,
          histogram: histogram(wideTimes),
          parts_p50_ms: partsOf(wide),
        },
        burst_ms: burstMs,
        all_ready_ms: allReadyMs,
      },
      notes: [
        `50 files, 1 changed, ${narrowTimes.length} pushes: ${histogramLine(narrowTimes)}`,
        `  p50 of each part: ${partsLine(narrow)}`,
        `5,000 files, 10 changed, ${wideTimes.length} pushes: ${histogramLine(wideTimes)}`,
        `  p50 of each part: ${partsLine(wide)}`,
      ],
    };
  },
};

/** A tree with ten files to a directory, and one script. */
function treeOf(count: number): WorldFiles {
  const files = Array.from(
    {length: count - 2},
    (_, index) => [pathOf(index), `file ${index}\n`.repeat(20)] as const,
  );
  return {...Object.fromEntries(files), '.hoody/exec/hello.ts': 'return "hello";\n'};
}

const pathOf = (index: number) =>
  `src/part-${Math.floor(index / 100)}/set-${Math.floor(index / 10) % 10}/file-${index}.txt`;

function crontabOf(branch: string, round: number): string {
  return `# ${branch}\n0 3 1 1 * echo ${round}\n30 4 1 1 * echo nightly\n`;
}

function pusher(push: PushWorld, controller: RunningController, logPath: string) {
  const urls = new Map<string, string>();
  const urlOf = async (name: string) => {
    if (urls.size === 0)
      for (const {branch, container} of await controller.client.branches())
        urls.set(branch, `${container?.urls.cron}/users/root/crontab`);
    return urls.get(name) ?? '';
  };
  let logOffset = readFileSync(logPath).byteLength;
  return async (branch: string, round: number, changes: number): Promise<Sample> => {
    const url = await urlOf(branch);
    const text = crontabOf(branch, round);
    const others = Array.from(
      {length: changes - 1},
      (_, index) => [pathOf(index * 400), `round ${round}\n`] as const,
    );
    const commit = await push.push(branch, {...Object.fromEntries(others), '.hoody/crontab': text});
    const pushedMs = performance.timeOrigin + performance.now();
    const activeMs = await untilShown(url, text, pushedMs);
    // What follows is not measured: it waits for the end of the work, so that pushes do not overlap.
    const settled = await controller.until(
      branch,
      (known) => known.observed_revision === commit && known.plan.length === 0,
    );
    const log = readFileSync(logPath).subarray(logOffset);
    logOffset += log.byteLength;
    return {
      pushedMs,
      activeMs,
      seenMs: activeMs - (settled.active_ms ?? 0),
      steps: stepsOf(log.toString(), branch),
    };
  };
}

/** From the return of one `git push` of all branches to the last of them being shown, in ms. */
async function pushAll(
  push: PushWorld,
  controller: RunningController,
  names: readonly string[],
): Promise<number> {
  const urls = new Map(
    (await controller.client.branches()).map(({branch, container}) => [branch, container?.urls.cron ?? '']),
  );
  const round = narrowRounds + 1;
  for (const branch of names) await push.clone.commit(branch, {'.hoody/crontab': crontabOf(branch, round)});
  await push.clone.git('push', '--quiet', 'origin', ...names.map((branch) => `refs/heads/${branch}`));
  const pushedMs = performance.timeOrigin + performance.now();
  let lastMs = pushedMs;
  for (const branch of names) {
    const url = `${urls.get(branch)}/users/root/crontab`;
    lastMs = Math.max(lastMs, await untilShown(url, crontabOf(branch, round), pushedMs));
  }
  return lastMs - pushedMs;
}

/** The controller's log says when each step was taken. */
function stepsOf(log: string, branch: string): Sample['steps'] {
  return log
    .split('\n')
    .filter((line) => line.includes('"message":"applied"'))
    .map((line) => JSON.parse(line) as {time: string; branch: string; action: string})
    .filter((line) => line.branch === branch)
    .map(({time, action}) => ({action, atMs: Date.parse(time)}));
}

const durationOf = ({pushedMs, activeMs}: Sample) => Math.max(0, activeMs - pushedMs);

/** Median ms of each part, in the order in which they follow each other. */
function partsOf(samples: readonly Sample[]): Record<string, number> {
  const parts = new Map<string, number[]>();
  const put = (name: string, ms: number) => parts.set(name, [...(parts.get(name) ?? []), ms]);
  for (const {pushedMs, activeMs, steps} of samples) {
    let before = pushedMs;
    for (const {action, atMs} of steps) {
      put(before === pushedMs ? `until ${action}` : action, atMs - before);
      before = atMs;
    }
    put('until shown', activeMs - before);
  }
  return Object.fromEntries([...parts].map(([name, values]) => [name, percentile(values, 0.5)]));
}

function partsLine(samples: readonly Sample[]): string {
  return Object.entries(partsOf(samples))
    .map(([name, ms]) => `${name} ${ms.toFixed(1)} ms`)
    .join(', ');
}

/** Median of one GET of a crontab that does not change: what the measurement itself costs at least. */
async function gatewayGetMs({client}: RunningController): Promise<number> {
  const [first] = await client.branches();
  const times: number[] = [];
  for (let look = 0; look < 50; look += 1) {
    const startMs = performance.now();
    await (
      await fetch(`${first?.container?.urls.cron}/users/root/crontab`, {headers: {Accept: 'text/plain'}})
    ).text();
    times.push(performance.now() - startMs);
  }
  return percentile(times, 0.5);
}
