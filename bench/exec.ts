import {mkdtempSync, readFileSync, rmSync} from 'node:fs';
import {tmpdir} from 'node:os';
import {join, resolve} from 'node:path';
import {listProcesses} from '../runtime/platform/processes.ts';
import {bundleProgram} from '../runtime/platform/program-bundle.ts';
import {deploymentOf} from '../test/helpers/exec-world.ts';
import {firstLine} from '../test/helpers/first-line.ts';
import {runLoad} from './http-load.ts';
import {type Bench, type BenchOptions, percentile} from './result.ts';

const loadMs = 2000;
const firstCalls = 15;
const deployments = 11;
const loadedScripts = 100;
const containers = 5;
/** By then a host has given back what it does not need. */
const quietMs = 13_000;

const hello = 'return {hello: "world"};\n';

export const execBench: Bench = {
  name: 'exec',
  summary: 'calls of scripts against a bare Bun.serve, first calls, deploys, memory, a blocked host',
  async run(options) {
    const {progress} = options;
    const peer = await startPeer(options);
    const runtime = await startRuntime(options, []);
    await runtime.deploy({'hello.ts': hello});
    await runtime.call('/hello');

    progress('warm calls');
    const warm = await compare(peer.port, runtime.port);

    progress('first calls after idle');
    const idle = await startRuntime(options, ['--exec-idle-ms', '1']);
    await idle.deploy({'hello.ts': hello});
    await idle.call('/hello');
    const firstMs = await measureFirstCalls(idle);

    progress(`deploys of ${loadedScripts} changed scripts`);
    const deployMs = await measureDeployments(runtime);

    progress('memory of a host');
    const memory = await measureMemory(options);

    progress('a blocked host');
    const blockedMs = await measureBlocked(runtime);

    const peerP50 = percentile(warm.peer.latenciesMs, 0.5);
    const perPeerCall = 1000 / warm.peerMany.requestsPerSecond;
    return {
      name: 'exec',
      figures: [
        {
          label: `warm call, p50 (4 x bare Bun.serve, ${peerP50.toFixed(3)} ms)`,
          value: percentile(warm.own.latenciesMs, 0.5),
          unit: 'ms',
          limit: 4 * peerP50,
        },
        {
          label: `16 connections, time per call (3 x bare Bun.serve, ${perPeerCall.toFixed(4)} ms)`,
          value: 1000 / warm.ownMany.requestsPerSecond,
          unit: 'ms',
          limit: 3 * perPeerCall,
        },
        {label: 'first call after idle, p50', value: percentile(firstMs, 0.5), unit: 'ms', limit: 60},
        {
          label: `deploy of ${loadedScripts} changed scripts to first new answer, p50`,
          value: percentile(deployMs, 0.5),
          unit: 'ms',
          limit: 250,
        },
        {
          label: `PSS of an idle host, mean of ${containers} containers`,
          value: memory.idle.pssMb,
          unit: 'MB',
          limit: 8,
        },
        {label: 'of it private', value: memory.idle.privateMb, unit: 'MB'},
        {
          label: `PSS with ${loadedScripts} scripts loaded`,
          value: memory.loaded.pssMb,
          unit: 'MB',
          limit: 14,
        },
        {label: 'of it private', value: memory.loaded.privateMb, unit: 'MB'},
        {
          label: 'other calls while a host is blocked, p99',
          value: percentile(blockedMs, 0.99),
          unit: 'ms',
          limit: 300,
        },
      ],
      values: {
        requests_per_second: {
          own: warm.own.requestsPerSecond,
          peer: warm.peer.requestsPerSecond,
          own_16: warm.ownMany.requestsPerSecond,
          peer_16: warm.peerMany.requestsPerSecond,
        },
        first_call_ms: firstMs,
        deploy_ms: deployMs,
        memory_mb: memory,
        blocked_p50_ms: percentile(blockedMs, 0.5),
      },
      notes: [
        `calls per second, one connection: ${Math.round(warm.own.requestsPerSecond)} against ${Math.round(warm.peer.requestsPerSecond)}; 16: ${Math.round(warm.ownMany.requestsPerSecond)} against ${Math.round(warm.peerMany.requestsPerSecond)}`,
        'the load generator runs on the same cores, and every call leaves its record',
      ],
    };
  },
};

interface Runtime {
  readonly port: number;
  readonly pid: number;
  deploy(texts: Readonly<Record<string, string>>): Promise<void>;
  call(target: string): Promise<string>;
}

/** A runtime as containers run it: bundled, with a controller's socket. */
async function startRuntime({teardown}: BenchOptions, flags: readonly string[]): Promise<Runtime> {
  const directory = mkdtempSync(join(tmpdir(), 'bt-bench-'));
  await bundleProgram({entry: resolve('runtime/start.ts'), directory: join(directory, 'program')});
  const control = join(directory, 'c.sock');
  const child = Bun.spawn({
    cmd: [
      ...[process.execPath, '--no-env-file', '--config=/dev/null', join(directory, 'program/start.js')],
      ...[
        'runtime',
        '--data',
        join(directory, 'data'),
        '--listen',
        '127.0.0.1:0',
        '--control',
        `unix:${control}`,
      ],
      ...flags,
    ],
    env: {PATH: '/usr/bin:/bin'},
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'ignore',
  });
  teardown(async () => {
    child.kill('SIGKILL');
    await child.exited;
    rmSync(directory, {recursive: true, force: true});
  });
  const url = (JSON.parse(await firstLine(child.stdout)) as {kit_url: string}).kit_url;
  return {
    port: Number(new URL(url).port),
    pid: child.pid,
    async deploy(texts) {
      const response = await fetch('http://runtime/api/v1/exec/deployments', {
        unix: control,
        method: 'PUT',
        body: JSON.stringify(deploymentOf(texts)),
      });
      if (!response.ok) throw new Error(`deploy: ${await response.text()}`);
    },
    async call(target) {
      const response = await fetch(`${url}${target}`);
      return response.text();
    },
  };
}

async function startPeer({teardown}: BenchOptions): Promise<{port: number}> {
  const program =
    "const s = Bun.serve({port: 0, hostname: '127.0.0.1', fetch: () => Response.json({hello: 'world'})}); console.log(s.port);";
  const child = Bun.spawn({cmd: [process.execPath, '-e', program], stdout: 'pipe', stderr: 'ignore'});
  teardown(() => child.kill('SIGKILL'));
  return {port: Number(await firstLine(child.stdout))};
}

async function compare(peerPort: number, ownPort: number) {
  const peerLoad = {port: peerPort, target: '/'};
  const ownLoad = {port: ownPort, target: '/hello'};
  // Compiled code and open connections first.
  for (const load of [peerLoad, ownLoad]) await runLoad({...load, connections: 16, durationMs: 500});
  return {
    peer: await runLoad({...peerLoad, connections: 1, durationMs: loadMs}),
    own: await runLoad({...ownLoad, connections: 1, durationMs: loadMs}),
    peerMany: await runLoad({...peerLoad, connections: 16, durationMs: loadMs}),
    ownMany: await runLoad({...ownLoad, connections: 16, durationMs: loadMs}),
  };
}

async function measureFirstCalls(runtime: Runtime): Promise<number[]> {
  const timesMs: number[] = [];
  for (let count = 0; count < firstCalls; count += 1) {
    while ((await hostsOf(runtime)).length > 0) await Bun.sleep(20);
    const startMs = performance.now();
    await runtime.call('/hello');
    timesMs.push(performance.now() - startMs);
  }
  return timesMs;
}

async function measureDeployments(runtime: Runtime): Promise<number[]> {
  const timesMs: number[] = [];
  for (let count = 0; count < deployments; count += 1) {
    const scripts = scriptSet(`deploy ${count}`);
    const startMs = performance.now();
    await runtime.deploy(scripts);
    for (let text = ''; !text.includes(`deploy ${count}`); ) text = await runtime.call('/s50');
    timesMs.push(performance.now() - startMs);
  }
  return timesMs;
}

interface HostMemory {
  readonly pssMb: number;
  readonly privateMb: number;
}

/** Of the hosts of several containers, as on a machine that serves some: they share the program's pages. */
async function measureMemory(options: BenchOptions): Promise<{idle: HostMemory; loaded: HostMemory}> {
  const runtimes = await Promise.all(
    Array.from({length: containers}, () => startRuntime(options, ['--exec-warm'])),
  );
  for (const runtime of runtimes) await runtime.deploy(scriptSet('memory'));
  const idle = await quietMemory(runtimes);
  for (const runtime of runtimes)
    for (let index = 0; index < loadedScripts; index += 1) await runtime.call(`/s${index}`);
  return {idle, loaded: await quietMemory(runtimes)};
}

async function quietMemory(runtimes: readonly Runtime[]): Promise<HostMemory> {
  await Bun.sleep(quietMs);
  const pids = (await Promise.all(runtimes.map(hostsOf))).flatMap((hosts) => hosts.slice(0, 1));
  if (pids.length < runtimes.length) throw new Error('a runtime has no script host');
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  return {pssMb: mean(pids.map(pssMegabytes)), privateMb: mean(pids.map(privateMegabytes))};
}

/** Latencies of short calls, sent every 20 ms, while another script computes for three seconds. */
async function measureBlocked(runtime: Runtime): Promise<number[]> {
  await runtime.deploy({
    'hello.ts': hello,
    'spins.ts': 'const end = performance.now() + 3000; while (performance.now() < end); return 1;\n',
  });
  await runtime.call('/hello');
  const spinning = runtime.call('/spins');
  const timesMs: number[] = [];
  const calls: Promise<void>[] = [];
  for (let count = 0; count < 150; count += 1) {
    const startMs = performance.now();
    calls.push(
      runtime.call('/hello').then(() => {
        timesMs.push(performance.now() - startMs);
      }),
    );
    await Bun.sleep(20);
  }
  await Promise.all([spinning, ...calls]);
  return timesMs;
}

/** A hundred scripts of some 6 kB. */
function scriptSet(mark: string): Record<string, string> {
  const filler = Array.from(
    {length: 60},
    (_, index) =>
      `const value${index}: {n: number; name: string} = {n: ${index}, name: 'a value of the script'};\n`,
  ).join('');
  return Object.fromEntries(
    Array.from({length: loadedScripts}, (_, index) => [
      `s${index}.ts`,
      `${filler}return {mark: '${mark}', index: ${index}, sum: value1.n + value2.n};\n`,
    ]),
  );
}

async function hostsOf({pid}: Runtime): Promise<number[]> {
  return (await listProcesses())
    .filter(({parentPid}) => parentPid === pid)
    .filter(({pid: child}) => commandLineOf(child).includes('\0script-host\0'))
    .map(({pid: child}) => child);
}

function commandLineOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8');
  } catch {
    // Ended since it was listed.
    return '';
  }
}

/** Proportional set size: pages shared by n processes count one nth. */
function pssMegabytes(pid: number): number {
  return memoryOf(pid, 'Pss');
}

function privateMegabytes(pid: number): number {
  return memoryOf(pid, 'Private_Dirty') + memoryOf(pid, 'Private_Clean');
}

/** In MB. */
function memoryOf(pid: number, kind: 'Pss' | 'Private_Dirty' | 'Private_Clean'): number {
  const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const line = rollup.split('\n').find((text) => text.startsWith(`${kind}:`));
  return Number(/(\d+) kB/.exec(line ?? '')?.[1]) / 1024;
}
