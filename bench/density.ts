import {mkdtemp, readdir, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {installOwnRuntime} from '../cli/own-runtime.ts';
import {createDockerProvider} from '../reconciler/containers/docker/docker-provider.ts';
import {createProcessProvider} from '../reconciler/containers/process/process-provider.ts';
import type {ContainerProvider} from '../reconciler/containers/provider.ts';
import {systemClock} from '../runtime/platform/clock.ts';
import {silentLog} from '../runtime/platform/log.ts';
import {startTestEngine} from '../test/helpers/container-engine.ts';
import {active, createControllerWorld} from '../test/helpers/controller-world.ts';
import {createGitWorld, importBranches} from '../test/helpers/git-world.ts';
import {levelSkipReason} from '../test/helpers/level-available.ts';
import {containerProcesses} from './container-processes.ts';
import {cpuSeconds, memoryMegabytes} from './process-usage.ts';
import {type Bench, type BenchOptions, type Figure, percentile} from './result.ts';
import {untilActive} from './until.ts';

const containers = 60;
const crowd = 300;
const clones = 20;
const settleMs = 30_000;
const cpuMs = 60_000;

const files = (text: string) => ({
  '.hoody/crontab': '0 3 1 1 * echo nightly\n@yearly echo report\n',
  '.hoody/exec/hello.ts': `return '${text}';\n`,
});

export const densityBench: Bench = {
  name: 'density',
  summary: 'memory and CPU of 60 idle containers, a push to each, and how fast a clone answers',
  async run(options) {
    return {
      name: 'density',
      figures: [...(await idleAndPushed(containers, options)), ...(await cloneTimes(options))],
      values: {containers, clones},
      notes: [
        `${containers} containers at the best level of this host, ${settleMs / 1000} s after the last one was ready`,
        `clones of a snapshot with empty data, one after another, ${clones} of each kind: from the request to the first answer of /health`,
        'shared between containers: the pages of the program (page cache, one file), and on btrfs and XFS the blocks of cloned files; nothing is merged by KSM unless the host does so',
      ],
    };
  },
};

export const crowdBench: Bench = {
  name: 'crowd',
  summary: `the same of ${crowd} containers of the process provider`,
  async run(options) {
    return {
      name: 'crowd',
      figures: await idleAndPushed(crowd, options),
      values: {containers: crowd},
      notes: [
        `${crowd} containers at the best level of this host, ${settleMs / 1000} s after the last one was ready`,
      ],
    };
  },
};

async function idleAndPushed(count: number, {progress, teardown}: BenchOptions): Promise<Figure[]> {
  const git = await createGitWorld({teardown}, {bare: true});
  const names = Array.from({length: count}, (_, index) => `branch-${index}`);
  await importBranches(git, names, () => files('first'));
  const world = await createControllerWorld({teardown});
  const configuration = join(world.stateDirectory, '../branchtab.yaml');
  await writeFile(
    configuration,
    JSON.stringify({limits: {previews_per_repository: count, min_free_disk_percent: 0}}),
  );
  const startMs = performance.now();
  const controller = await world.up('--config', configuration, '--repo', git.path, '--yes');
  progress(`starting ${count} containers`);
  await untilActive(controller, count);
  const readyMs = performance.now() - startMs;
  progress(`waiting ${settleMs / 1000} s`);
  await Bun.sleep(settleMs);
  const all = await containerProcesses(world.stateDirectory);
  if (all.length !== count) throw new Error(`${all.length} of ${count} runtimes are up`);
  const runtimePss = all.map(({runtime}) => memoryMegabytes(runtime, 'Pss'));
  const aroundPss = all.map(({around}) => around.reduce((sum, pid) => sum + memoryMegabytes(pid, 'Pss'), 0));
  const controllerPss = memoryMegabytes(controller.pid, 'Pss');
  progress(`measuring CPU for ${cpuMs / 1000} s`);
  const pids = all.flatMap(({runtime, around}) => [runtime, ...around]);
  const used = () => pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
  const before = used();
  const idleMs = performance.now();
  await Bun.sleep(cpuMs);
  const cpu = ((used() - before) / (performance.now() - idleMs)) * 100_000;

  progress('one push to each');
  const pushedMs = performance.now();
  const commits = new Map<string, string>();
  for (const name of names) commits.set(name, await git.commit(name, files('second')));
  for (const [name, commit] of commits) await controller.until(name, active(commit));
  const pushMs = performance.now() - pushedMs;
  // By their ids, which every process of a container has in its environment, and which are known no more afterwards.
  const ids = await readdir(join(world.stateDirectory, 'containers'));
  const down = await world.run('down', '--purge', '--yes');
  if (down.code !== 0) throw new Error(down.stderr);
  const left = await countMarked(ids);
  return [
    {
      label: `PSS of a runtime among ${count}, p50`,
      value: percentile(runtimePss, 0.5),
      unit: 'MB',
      limit: 12,
    },
    {
      label: 'PSS of what is around it (sandbox, network), p50',
      value: percentile(aroundPss, 0.5),
      unit: 'MB',
    },
    {
      label: `CPU of all ${count} over a minute`,
      value: cpu,
      unit: '%',
      ...(count === containers ? {limit: 5} : {}),
    },
    {label: `\`up\` until ${count} are ready`, value: readyMs, unit: 'ms'},
    {label: 'PSS of the controller', value: controllerPss, unit: 'MB', limit: 150},
    {label: `${count} commits, one to each, all active`, value: pushMs, unit: 'ms'},
    {label: 'left after down --purge', value: left, unit: 'processes', limit: 0},
  ];
}

async function countMarked(ids: readonly string[]): Promise<number> {
  let count = 0;
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const environment = await readFile(`/proc/${name}/environ`, 'utf8').catch(() => '');
    if (ids.some((id) => environment.includes(`=${id}\0`))) count += 1;
  }
  return count;
}

async function cloneTimes({progress, teardown}: BenchOptions): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const level of ['network', 'sandbox', 'plain'] as const) {
    if ((await levelSkipReason(level)) !== null) continue;
    progress(`cloning at level ${level}`);
    const value = await withState(teardown, (options) => createProcessProvider({...options, level}));
    figures.push({label: `clone to /health, process ${level}, p50`, value, unit: 'ms', limit: 150});
  }
  const engine = await startTestEngine('podman');
  if ('reason' in engine) return figures;
  teardown(() => engine.close());
  progress('cloning on Podman');
  const value = await withState(teardown, (options) =>
    createDockerProvider({
      ...options,
      engine: engine.engine,
      owner: Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString('hex'),
      image: engine.image,
      network: 'own',
      startTimeoutMs: 60_000,
    }),
  );
  return [...figures, {label: 'clone to /health, Podman, p50', value, unit: 'ms', limit: 300}];
}

type ProviderOptions = Omit<Parameters<typeof createProcessProvider>[0], 'level'>;

/** Median over clones of one container that runs, each removed before the next. */
async function withState(
  teardown: BenchOptions['teardown'],
  open: (options: ProviderOptions) => Promise<ContainerProvider>,
): Promise<number> {
  const root = await mkdtemp(join(tmpdir(), 'bd-'));
  teardown(() => rm(root, {recursive: true, force: true}));
  const stateDirectory = join(root, 'state');
  const {command, directory} = await installOwnRuntime({stateDirectory});
  const provider = await open({
    stateDirectory,
    runtimeCommand: command,
    runtimeDirectory: directory,
    socketRoot: root,
    clock: systemClock,
    log: silentLog,
  });
  try {
    const main = await provider.create({name: 'main', labels: {}});
    await provider.start(main.id);
    await provider.snapshot(main.id, 'main-snapshot');
    const times: number[] = [];
    for (let index = 0; index < clones; index += 1) {
      const startMs = performance.now();
      const {id} = await provider.create({name: `clone-${index}`, labels: {}, from: 'main-snapshot'});
      const {controlSocket} = await provider.start(id);
      const health = await fetch('http://runtime/health', {unix: controlSocket});
      if (!health.ok) throw new Error(`/health answered ${health.status}`);
      times.push(performance.now() - startMs);
      await provider.remove(id);
    }
    return percentile(times, 0.5);
  } finally {
    for (const {id} of await provider.list()) await provider.remove(id);
    for (const {name} of await provider.listSnapshots()) await provider.removeSnapshot(name);
    await provider.close();
  }
}
