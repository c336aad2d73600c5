import {type ChildProcess, spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdtemp, readdir, readFile, realpath, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import {type ControllerClient, createControllerClient} from '../../api/controller-client.ts';
import type {Branch} from '../../schemas/branch.ts';
import {AppError} from '../../schemas/errors.ts';
import type {Run} from '../../schemas/run.ts';
import {commandLine} from './command-line.ts';
import type {Teardown} from './git-world.ts';

const [program, ...first] = commandLine;

/** A state directory with a real `branchtab up` on it, as a person would start it. */
export interface ControllerWorld extends StateDirectoryWorld {
  /** The same person with another state directory beside the first. */
  second(): StateDirectoryWorld;
}

export interface StateDirectoryWorld {
  readonly stateDirectory: string;
  /** Starts the controller, again after `kill` or `stop`. */
  up(...flags: string[]): Promise<RunningController>;
  /** Runs another command on the same state directory. */
  run(...words: string[]): Promise<CommandResult>;
  /** Processes that carry a container of this state directory in their environment. */
  processes(): Promise<number[]>;
  /** The same in their order, once none has come or gone between two looks: some live for a moment only. */
  settledProcesses(): Promise<number[]>;
}

export interface RunningController {
  readonly url: string;
  readonly pid: number;
  readonly client: ControllerClient;
  /** `kill -9` of the controller alone. */
  kill(): Promise<void>;
  /** SIGTERM; containers go on. */
  stop(): Promise<void>;
  signal(signal: NodeJS.Signals): void;
  /** Resolves with what it prints about a reload of its configuration, after SIGHUP. */
  reload(): Promise<{changes: string[]; problem: string | null}>;
  /** Exit code, once it ended. */
  readonly exited: Promise<number | null>;
  /** Resolves with the branch as soon as it is as wanted; rejects after 90 s saying what it was. */
  until(name: string, wanted: (branch: Branch) => boolean): Promise<Branch>;
  /** Resolves when no branch of this name is known any more. */
  untilForgotten(name: string): Promise<void>;
  /** Resolves with the branch's runs as soon as they are as wanted. */
  untilRuns(name: string, wanted: (runs: Run[]) => boolean): Promise<Run[]>;
  crontab(branch: Branch): Promise<string>;
  runs(name: string): Promise<Run[]>;
}

export interface CommandResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Long enough for a job of the next minute on a busy machine. */
const untilTimeoutMs = 90_000;

/** `variables` come into the environment of every command. */
export async function createControllerWorld(
  t: Teardown,
  variables: Readonly<Record<string, string>> = {},
): Promise<ControllerWorld> {
  const directory = await realpath(await mkdtemp(join(tmpdir(), 'branchtab-state-')));
  const stateDirectory = join(directory, 'state');
  const environment = {
    PATH: process.env.PATH ?? '',
    HOME: directory,
    NO_COLOR: '1',
    XDG_RUNTIME_DIR: directory,
    ...variables,
  };
  const started = new Set<ChildProcess>();
  const worldOn = (state: string): StateDirectoryWorld => ({
    stateDirectory: state,
    run: (...words) => runCommand([...words, '--state', state], environment, directory),
    processes: () => processesOf(state),
    async settledProcesses() {
      for (let former: number[] = []; ; ) {
        const present = (await processesOf(state)).toSorted((a, b) => a - b);
        if (present.length > 0 && Bun.deepEquals(present, former)) return present;
        former = present;
        await Bun.sleep(100);
      }
    },
    async up(...flags) {
      const words = ['up', '--json', '--state', state, '--listen', '127.0.0.1:0', ...flags];
      const child = spawn(program, [...first, ...words], {
        env: environment,
        cwd: directory,
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      started.add(child);
      const exited = once(child, 'exit').then(([code]: unknown[]) => {
        started.delete(child);
        return code as number | null;
      });
      await firstLine(child, exited);
      // Where it listens; what it prints may be the address of a proxy before it.
      const {url} = JSON.parse(await readFile(join(state, 'controller.json'), 'utf8')) as {url: string};
      const token = (await readFile(join(state, 'token'), 'utf8')).trim();
      return runningController({child, exited, url, token});
    },
  });
  const worlds = [worldOn(stateDirectory), worldOn(`${stateDirectory}-2`)] as const;

  t.teardown(async () => {
    for (const child of started) child.kill('SIGKILL');
    for (const {run} of worlds) await run('down', '--purge', '--yes');
    await rm(directory, {recursive: true, force: true});
  });
  return {...worlds[0], second: () => worlds[1]};
}

/** Runs the command line to its end. */
export async function runCommand(
  words: readonly string[],
  environment: Readonly<Record<string, string>>,
  cwd: string,
): Promise<CommandResult> {
  const child = spawn(program, [...first, ...words], {
    env: environment,
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [stdout, stderr, [code]] = await Promise.all([
    textOf(child.stdout),
    textOf(child.stderr),
    once(child, 'exit'),
  ]);
  return {code: code as number | null, stdout, stderr};
}

async function firstLine(child: ChildProcess, exited: Promise<number | null>): Promise<void> {
  if (child.stdout === null || child.stderr === null) throw new Error('the controller has no output');
  const errors = textOf(child.stderr);
  const lines = createInterface({input: child.stdout});
  const first = once(lines, 'line').then(([line]: unknown[]) => String(line));
  await Promise.race([
    first,
    exited.then(async (code) =>
      Promise.reject(new Error(`branchtab up ended with ${code}: ${await errors}`)),
    ),
  ]);
}

function runningController({
  child,
  exited,
  url,
  token,
}: {
  child: ChildProcess;
  exited: Promise<number | null>;
  url: string;
  token: string;
}): RunningController {
  const client = createControllerClient({url, token});
  const watch = async <T>(check: () => Promise<T | null>, describe: () => Promise<string>): Promise<T> => {
    const signal = AbortSignal.timeout(untilTimeoutMs);
    try {
      for await (const _event of client.events({signal})) {
        const now = await check();
        if (now !== null) return now;
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
    throw new Error(`did not happen within ${untilTimeoutMs} ms: ${await describe()}`);
  };
  const find = async (name: string) => (await client.branches()).find(({branch}) => branch === name);
  const runs = async (name: string): Promise<Run[]> => (await client.runs(name, {limit: '200'})).items;
  return {
    url,
    pid: child.pid ?? 0,
    client,
    exited,
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
    async stop() {
      child.kill('SIGTERM');
      await exited;
    },
    signal: (signal) => child.kill(signal),
    async reload() {
      if (child.stdout === null) throw new Error('the controller has no output');
      const lines = createInterface({input: child.stdout});
      child.kill('SIGHUP');
      for await (const line of lines) if (line.startsWith('{"type":"reloaded"')) return JSON.parse(line);
      throw new Error('the controller ended');
    },
    until: (name, wanted) =>
      watch(
        async () => {
          const branch = await find(name);
          return branch !== undefined && wanted(branch) ? branch : null;
        },
        async () => JSON.stringify((await find(name)) ?? `no branch ${name}`),
      ),
    async untilForgotten(name) {
      await watch(
        async () => ((await find(name)) === undefined ? true : null),
        async () => JSON.stringify(await find(name)),
      );
    },
    async crontab(branch) {
      const response = await fetch(`${branch.container?.urls.cron}/users/root/crontab`, {
        headers: {Accept: 'text/plain'},
      });
      return response.text();
    },
    runs,
    untilRuns: (name, wanted) =>
      watch(
        async () => {
          const all = await runs(name).catch(whileRestarting);
          return all !== null && wanted(all) ? all : null;
        },
        async () => JSON.stringify(await runs(name)),
      ),
  };
}

/** A container between its death and its restart answers 503; the next event asks again. */
function whileRestarting(error: unknown): null {
  if (error instanceof AppError && error.code === 'CONTAINER_UNAVAILABLE') return null;
  throw error;
}

/** True once this commit is what the container runs. */
export function active(commit: string): (branch: Branch) => boolean {
  return (branch) => branch.observed_revision === commit && isTrue(branch, 'Ready');
}

export function isTrue(branch: Branch, type: 'Ready' | 'Reconciling' | 'Stalled'): boolean {
  return branch.conditions.some((condition) => condition.type === type && condition.status === 'True');
}

async function textOf(stream: AsyncIterable<unknown>): Promise<string> {
  let text = '';
  for await (const chunk of stream) text += String(chunk);
  return text;
}

/** By the containers' ids, which every process of a container has in its environment. */
async function processesOf(stateDirectory: string): Promise<number[]> {
  const ids = (await readdir(join(stateDirectory, 'containers')).catch(() => [])).filter((name) =>
    /^[0-9a-f]{24}$/.test(name),
  );
  const found: number[] = [];
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const environ = await readFile(`/proc/${name}/environ`, 'utf8').catch(() => '');
    if (ids.some((id) => environ.includes(id))) found.push(Number(name));
  }
  return found;
}
