import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {dirname, join} from 'node:path';
import {installOwnRuntime} from '../cli/own-runtime.ts';
import {createDockerProvider} from '../reconciler/containers/docker/docker-provider.ts';
import {createProcessProvider} from '../reconciler/containers/process/process-provider.ts';
import type {ContainerProvider} from '../reconciler/containers/provider.ts';
import {systemClock} from '../runtime/platform/clock.ts';
import {silentLog} from '../runtime/platform/log.ts';
import {startTestEngine} from '../test/helpers/container-engine.ts';
import {active, createControllerWorld} from '../test/helpers/controller-world.ts';
import {createGitWorld, importBranches} from '../test/helpers/git-world.ts';
import {startTestIncus} from '../test/helpers/incus-daemon.ts';
import {levelSkipReason} from '../test/helpers/level-available.ts';
import {markedProcesses} from './container-processes.ts';
import {cpuSeconds, memoryMegabytes} from './process-usage.ts';
import {type Bench, type BenchOptions, type Figure, percentile} from './result.ts';
import {untilActive} from './until.ts';

const containers = 60;
const crowd = 300;
const clones = 20;
/** Their disk is measured together. */
const keptClones = 10;
const settleMs = 30_000;
const cpuMs = 60_000;

const files = (text: string) => ({
  '.hoody/crontab': '0 3 1 1 * echo nightly\n@yearly echo report\n',
  '.hoody/exec/hello.ts': `return '${text}';\n`,
});

/** Where containers run, and what of this machine's a controller needs to know for it. */
interface Place {
  readonly label: string;
  readonly configuration: object;
  readonly environment?: Record<string, string>;
  readonly mostRuntimeMegabytes: number;
}

const processes: Place = {label: 'process', configuration: {}, mostRuntimeMegabytes: 12};

export const densityBench: Bench = {
  name: 'density',
  summary: 'memory and CPU of 60 idle containers, a push to each, and how fast a clone answers',
  async run(options) {
    const figures = await idleAndPushed({place: processes, count: containers}, options);
    figures.push(...(await cloneFigures(options)));
    const podman = await startTestEngine('podman');
    if (!('reason' in podman)) {
      options.teardown(() => podman.close());
      const place = {
        label: 'Podman',
        configuration: {provider: 'docker', docker: {image: podman.image, network: 'own'}},
        environment: {DOCKER_HOST: `unix://${podman.socketPath}`},
        mostRuntimeMegabytes: 12,
      };
      figures.push(...(await idleAndPushed({place, count: containers}, options)));
    }
    const lxd = await startTestIncus();
    if (!('reason' in lxd)) {
      options.teardown(() => lxd.close());
      const place = {
        label: `LXD on ${lxd.driver}`,
        configuration: {
          provider: 'incus',
          incus: {socket: lxd.socketPath, image: lxd.image, pool: lxd.pool, network: 'own'},
        },
        mostRuntimeMegabytes: 14,
      };
      figures.push(...(await idleAndPushed({place, count: containers}, options)));
    }
    return {
      name: 'density',
      figures,
      values: {containers, clones},
      notes: [
        `${containers} containers, those of process at the best level of this host, ${settleMs / 1000} s after the last one was ready`,
        `clones of a snapshot with empty data, one after another, ${clones} of each kind: from the request to the first answer of /health`,
        'shared between containers: the pages of the program (page cache, one file), and on btrfs and XFS the blocks of cloned files; nothing is merged by KSM unless the host does so',
        ...('reason' in podman ? [`not measured on Podman: ${podman.reason}`] : []),
        ...('reason' in lxd ? [`not measured on LXD: ${lxd.reason}`] : []),
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
      figures: await idleAndPushed({place: processes, count: crowd}, options),
      values: {containers: crowd},
      notes: [
        `${crowd} containers at the best level of this host, ${settleMs / 1000} s after the last one was ready`,
      ],
    };
  },
};

async function idleAndPushed(
  {place, count}: {place: Place; count: number},
  {progress, teardown}: BenchOptions,
): Promise<Figure[]> {
  const git = await createGitWorld({teardown}, {bare: true});
  const names = Array.from({length: count}, (_, index) => `branch-${index}`);
  await importBranches(git, names, () => files('first'));
  const world = await createControllerWorld({teardown}, place.environment);
  const configuration = join(world.stateDirectory, '../branchtab.yaml');
  await writeFile(
    configuration,
    JSON.stringify({
      limits: {previews_per_repository: count, min_free_disk_percent: 0},
      ...place.configuration,
    }),
  );
  const startMs = performance.now();
  const controller = await world.up('--config', configuration, '--repo', git.path, '--yes');
  const {label} = place;
  progress(`${label}: starting ${count} containers`);
  await untilActive(controller, count);
  const readyMs = performance.now() - startMs;
  progress(`${label}: waiting ${settleMs / 1000} s`);
  await Bun.sleep(settleMs);
  const branches = await controller.client.branches();
  const ids = branches.flatMap(({container}) => container?.id.replace('ctr_', '') ?? []);
  const {runtimes, all} = await markedProcesses(ids);
  if (runtimes.length !== count) throw new Error(`${runtimes.length} of ${count} runtimes are up`);
  const runtimePss = runtimes.map((pid) => memoryMegabytes(pid, 'Pss'));
  const allPss = all.reduce((sum, pid) => sum + memoryMegabytes(pid, 'Pss'), 0);
  const aroundPss = (allPss - runtimePss.reduce((sum, each) => sum + each, 0)) / count;
  const controllerPss = memoryMegabytes(controller.pid, 'Pss');
  progress(`${label}: measuring CPU for ${cpuMs / 1000} s`);
  const used = () => all.reduce((sum, pid) => sum + cpuSeconds(pid), 0);
  const before = used();
  const idleMs = performance.now();
  await Bun.sleep(cpuMs);
  const cpu = ((used() - before) / (performance.now() - idleMs)) * 100_000;

  progress(`${label}: one push to each`);
  const pushedMs = performance.now();
  const commits = new Map<string, string>();
  for (const name of names) commits.set(name, await git.commit(name, files('second')));
  for (const [name, commit] of commits) await controller.until(name, active(commit));
  const pushMs = performance.now() - pushedMs;
  const down = await world.run('down', '--purge', '--yes');
  if (down.code !== 0) throw new Error(down.stderr);
  const left = await markedProcesses(ids);
  return [
    {
      label: `${label}: PSS of a runtime among ${count}, p50`,
      value: percentile(runtimePss, 0.5),
      unit: 'MB',
      limit: place.mostRuntimeMegabytes,
    },
    {
      label: `${label}: PSS of what else runs in it, or around it for its sandbox, mean`,
      value: aroundPss,
      unit: 'MB',
    },
    {
      label: `${label}: CPU of all ${count} over a minute`,
      value: cpu,
      unit: '%',
      ...(count === containers ? {limit: 5} : {}),
    },
    {label: `${label}: \`up\` until ${count} are ready`, value: readyMs, unit: 'ms'},
    {
      label: `${label}: PSS of the controller`,
      value: controllerPss,
      unit: 'MB',
      ...(count === containers ? {limit: 150} : {}),
    },
    {label: `${label}: ${count} commits, one to each, all active`, value: pushMs, unit: 'ms'},
    {label: `${label}: left after down --purge`, value: left.all.length, unit: 'processes', limit: 0},
  ];
}

async function cloneFigures({progress, teardown}: BenchOptions): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const level of ['network', 'sandbox', 'plain'] as const) {
    if ((await levelSkipReason(level)) !== null) continue;
    progress(`cloning at level ${level}`);
    const {medianMs} = await measureClones(teardown, [], (options) =>
      createProcessProvider({...options, level}),
    );
    figures.push({label: `clone to /health, process ${level}, p50`, value: medianMs, unit: 'ms', limit: 150});
  }
  const engine = await startTestEngine('podman');
  if ('reason' in engine) return figures;
  teardown(() => engine.close());
  progress('cloning on Podman');
  const {medianMs, megabytes} = await measureClones(teardown, [dirname(engine.socketPath)], (options) =>
    createDockerProvider({
      ...options,
      engine: engine.engine,
      owner: Buffer.from(crypto.getRandomValues(new Uint8Array(16))).toString('hex'),
      image: engine.image,
      network: 'own',
      startTimeoutMs: 60_000,
    }),
  );
  figures.push({label: 'clone to /health, Podman, p50', value: medianMs, unit: 'ms', limit: 300});
  figures.push({
    label: `disk of a started clone, Podman on overlay, mean of ${keptClones}`,
    value: megabytes,
    unit: 'MB',
    limit: 1,
  });
  return figures;
}

type ProviderOptions = Omit<Parameters<typeof createProcessProvider>[0], 'level'>;

/**
 * Median over clones of one container that runs, each removed before the next; then what each of some that stay takes in
 * the state directory and in `directories`.
 */
async function measureClones(
  teardown: BenchOptions['teardown'],
  directories: readonly string[],
  open: (options: ProviderOptions) => Promise<ContainerProvider>,
): Promise<{medianMs: number; megabytes: number}> {
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
  const clone = async (name: string): Promise<string> => {
    const {id} = await provider.create({name, labels: {}, from: 'main-snapshot'});
    const {controlSocket} = await provider.start(id);
    const health = await fetch('http://runtime/health', {unix: controlSocket});
    if (!health.ok) throw new Error(`/health answered ${health.status}`);
    return id;
  };
  try {
    const main = await provider.create({name: 'main', labels: {}});
    await provider.start(main.id);
    await provider.snapshot(main.id, 'main-snapshot');
    const times: number[] = [];
    for (let index = 0; index < clones; index += 1) {
      const startMs = performance.now();
      const id = await clone(`clone-${index}`);
      times.push(performance.now() - startMs);
      await provider.remove(id);
    }
    const beforeBytes = usedBytes([stateDirectory, ...directories]);
    for (let index = 0; index < keptClones; index += 1) await clone(`kept-${index}`);
    const bytes = (usedBytes([stateDirectory, ...directories]) - beforeBytes) / keptClones;
    return {medianMs: percentile(times, 0.5), megabytes: bytes / 1e6};
  } finally {
    for (const {id} of await provider.list()) await provider.remove(id);
    for (const {name} of await provider.listSnapshots()) await provider.removeSnapshot(name);
    await provider.close();
  }
}

/** On the disk; what is mounted there is that of somewhere else. */
function usedBytes(directories: readonly string[]): number {
  const {exitCode, stdout, stderr} = Bun.spawnSync(['du', '-sxk', ...directories]);
  if (exitCode !== 0) throw new Error(stderr.toString());
  const rows = stdout.toString().trim().split('\n');
  return rows.reduce((sum, row) => sum + Number.parseInt(row, 10) * 1024, 0);
}
