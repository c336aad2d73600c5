import {createControllerWorld} from '../test/helpers/controller-world.ts';
import {createGitWorld, importBranches} from '../test/helpers/git-world.ts';
import {type ContainerProcesses, containerProcesses} from './container-processes.ts';
import {cpuSeconds, memoryMegabytes, ticksPerSecond} from './process-usage.ts';
import {type Bench, percentile} from './result.ts';

const runtimes = 20;
const settleMs = 30_000;
const cpuMs = 60_000;

/** Not due within the bench, as most lines are not most of the time. */
const crontab = `# nightly
0 3 1 1 * echo nightly
30 4 1 1 * echo backup
@yearly echo report
`;

export const idleBench: Bench = {
  name: 'idle',
  summary: 'memory and CPU of 20 runtimes that have nothing to do',
  async run({progress, teardown}) {
    const git = await createGitWorld({teardown}, {bare: true});
    const names = Array.from({length: runtimes}, (_, index) => `branch-${index}`);
    await importBranches(git, names, () => ({
      '.hoody/crontab': crontab,
      '.hoody/exec/hello.ts': 'return "hello";\n',
      'README.md': 'idle\n',
    }));
    const world = await createControllerWorld({teardown});
    const controller = await world.up('--repo', git.path, '--yes');
    progress(`starting ${runtimes} runtimes`);
    for (const name of names)
      await controller.until(
        name,
        ({container, conditions}) =>
          container?.state === 'running' &&
          conditions.some(({type, status}) => type === 'Ready' && status === 'True'),
      );
    const containers = await containerProcesses(world.stateDirectory);
    if (containers.length !== runtimes)
      throw new Error(`${containers.length} of ${runtimes} runtimes are up`);

    progress(`waiting ${settleMs / 1000} s`);
    await Bun.sleep(settleMs);
    const pss = containers.map(({runtime}) => memoryMegabytes(runtime, 'Pss'));
    const privatePss = containers.map(({runtime}) => memoryMegabytes(runtime, 'Pss_Anon'));
    const alone = containers.map(({runtime}) => aloneMegabytes(runtime));
    const helperPss = containers.map(({around}) =>
      around.reduce((sum, pid) => sum + memoryMegabytes(pid, 'Pss'), 0),
    );
    progress(`measuring CPU for ${cpuMs / 1000} s`);
    const before = containers.map(({runtime}) => cpuSeconds(runtime));
    const helpersBefore = helperSeconds(containers);
    const startMs = performance.now();
    await Bun.sleep(cpuMs);
    const seconds = (performance.now() - startMs) / 1000;
    const cpu = containers.map(
      ({runtime}, index) => ((cpuSeconds(runtime) - (before[index] ?? 0)) / seconds) * 100,
    );
    const helperCpu = ((helperSeconds(containers) - helpersBefore) / seconds / runtimes) * 100;

    const meanCpu = mean(cpu);
    return {
      name: 'idle',
      figures: [
        {label: `PSS of a runtime, largest of ${runtimes}`, value: Math.max(...pss), unit: 'MB', limit: 15},
        {label: 'PSS of a runtime, p50', value: percentile(pss, 0.5), unit: 'MB', limit: 15},
        {
          label: 'the same on a machine without other Bun processes, largest',
          value: Math.max(...alone),
          unit: 'MB',
          limit: 15,
        },
        {label: 'CPU of a runtime over a minute, mean', value: meanCpu, unit: '%', limit: 0.1},
        {label: 'CPU of a runtime over a minute, largest', value: Math.max(...cpu), unit: '%', limit: 0.1},
        {label: 'PSS of the sandbox around it, p50', value: percentile(helperPss, 0.5), unit: 'MB'},
      ],
      values: {
        runtimes,
        pss_mb: {
          max: Math.max(...pss),
          p50: percentile(pss, 0.5),
          mean: mean(pss),
          private_p50: percentile(privatePss, 0.5),
          alone_max: Math.max(...alone),
          alone_p50: percentile(alone, 0.5),
          all: pss.toSorted((a, b) => a - b),
        },
        cpu_percent: {max: Math.max(...cpu), p50: percentile(cpu, 0.5), mean: meanCpu},
        helpers: {pss_mb: mean(helperPss), cpu_percent: helperCpu},
      },
      notes: [
        `of the p50, ${percentile(privatePss, 0.5).toFixed(1)} MB are private; the rest is the share in the program's pages`,
        `the clock of /proc ticks ${ticksPerSecond} times a second: over ${cpuMs / 1000} s one tick is ${((100 / ticksPerSecond / cpuMs) * 1000).toFixed(3)} % of a core`,
      ],
    };
  },
};

/** The size when only the runtimes and their controller share the program's pages, as on a machine of their own. */
function aloneMegabytes(pid: number): number {
  const filePages = memoryMegabytes(pid, 'Rss') - memoryMegabytes(pid, 'Anonymous');
  return memoryMegabytes(pid, 'Pss_Anon') + filePages / (runtimes + 1);
}

function helperSeconds(containers: readonly ContainerProcesses[]): number {
  return containers.flatMap(({around}) => around).reduce((sum, pid) => sum + cpuSeconds(pid), 0);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
