import {mkdtemp, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join, resolve} from 'node:path';
import type {ExecutionContext} from 'ava';
import {firstLine} from './first-line.ts';

export interface RuntimeProcess {
  readonly directory: string;
  readonly pid: number;
  /** Of the kits, without a slash at its end. */
  readonly url: string;
}

/** A runtime of its own process without a controller: its schedule runs at once. It ends with the test. */
export async function startRuntime(
  t: ExecutionContext,
  flags: readonly string[] = [],
): Promise<RuntimeProcess> {
  const directory = await mkdtemp(join(tmpdir(), 'bt-run-'));
  const child = Bun.spawn({
    cmd: [
      process.execPath,
      resolve('runtime/start.ts'),
      'runtime',
      '--data',
      join(directory, 'store'),
      '--listen',
      '127.0.0.1:0',
      ...flags,
    ],
    env: {PATH: '/usr/bin:/bin'},
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'inherit',
  });
  t.teardown(async () => {
    child.kill('SIGKILL');
    await child.exited;
    await rm(directory, {recursive: true, force: true});
  });
  const line = await firstLine(child.stdout);
  const url = /http:\/\/\S+/.exec(line)?.[0];
  if (url === undefined) throw new Error(`The runtime did not start: ${line}`);
  return {directory, pid: child.pid, url};
}
