import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join, resolve} from 'node:path';
import {engineSettings} from '../reconciler/containers/inside.ts';
import {installRuntime} from '../reconciler/containers/runtime-binary.ts';
import {firstLine} from '../test/helpers/first-line.ts';
import type {BenchOptions} from './result.ts';

export interface LoneRuntime {
  readonly pid: number;
  /** Of the kits, without a slash at its end. */
  readonly url: string;
  /** Working directory of jobs. */
  readonly home: string;
}

/** Runtimes as containers run them, bundled and from one program, but without controller and sandbox. */
export async function startLoneRuntimes(
  count: number,
  {teardown}: Pick<BenchOptions, 'teardown'>,
): Promise<LoneRuntime[]> {
  const directory = await mkdtemp(join(tmpdir(), 'bt-bench-'));
  teardown(() => rm(directory, {recursive: true, force: true}));
  const {command} = await installRuntime({
    stateDirectory: directory,
    executable: process.execPath,
    executableRevision: Bun.revision,
    entry: resolve('runtime/start.ts'),
  });
  const runtimes: LoneRuntime[] = [];
  for (let index = 0; index < count; index += 1)
    runtimes.push(await startLoneRuntime(command, join(directory, String(index)), teardown));
  return runtimes;
}

async function startLoneRuntime(
  command: readonly string[],
  directory: string,
  teardown: BenchOptions['teardown'],
): Promise<LoneRuntime> {
  const home = join(directory, 'home');
  const child = Bun.spawn({
    cmd: [
      ...command,
      'runtime',
      '--data',
      join(directory, 'data'),
      '--home',
      home,
      '--listen',
      '127.0.0.1:0',
    ],
    env: {PATH: '/usr/bin:/bin', ...engineSettings},
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'inherit',
  });
  teardown(async () => {
    child.kill('SIGKILL');
    await child.exited;
  });
  const line = await firstLine(child.stdout);
  const url = /http:\/\/\S+/.exec(line)?.[0];
  if (url === undefined) throw new Error(`The runtime did not start: ${line}`);
  return {pid: child.pid, url, home};
}
