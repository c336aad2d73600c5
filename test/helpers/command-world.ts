import {type ChildProcess, spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdtemp, realpath, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {type CommandResult, runCommand} from './controller-world.ts';
import type {Teardown} from './git-world.ts';

export const checkout = join(import.meta.dirname, '../..');

/** A directory and an environment for commands, with nothing of the person who runs the tests in it. */
export interface CommandWorld {
  readonly directory: string;
  readonly environment: Readonly<Record<string, string>>;
  /** Runs the command line to its end, in `directory` unless `cwd` is given. */
  run(
    words: readonly string[],
    options?: {cwd?: string; env?: Record<string, string>},
  ): Promise<CommandResult>;
  /** Starts any program and lets the test read along; killed at the end of the test. */
  start(command: readonly string[], options?: {cwd?: string; env?: Record<string, string>}): Started;
}

export interface Started {
  readonly pid: number;
  /** All of stdout so far. */
  stdout(): string;
  stderr(): string;
  /** Resolves with all of stdout as soon as it matches; rejects when the program ends before. */
  untilOutput(pattern: RegExp): Promise<string>;
  untilError(pattern: RegExp): Promise<string>;
  type(keys: string): void;
  signal(signal: NodeJS.Signals): void;
  readonly exited: Promise<number | null>;
}

export async function createCommandWorld(t: Teardown): Promise<CommandWorld> {
  const directory = await realpath(await mkdtemp(join(tmpdir(), 'branchtab-cli-')));
  t.teardown(() => rm(directory, {recursive: true, force: true}));
  const environment = {PATH: process.env.PATH ?? '', HOME: directory, XDG_RUNTIME_DIR: directory};
  return {
    directory,
    environment,
    run: (words, {cwd = directory, env = {}} = {}) => runCommand(words, {...environment, ...env}, cwd),
    start([program = '', ...args], {cwd = directory, env = {}} = {}) {
      const child = spawn(program, args, {cwd, env: {...environment, ...env}, stdio: 'pipe'});
      t.teardown(() => child.kill('SIGKILL'));
      return follow(child);
    },
  };
}

function follow(child: ChildProcess): Started {
  const exited = once(child, 'close').then(([code]: unknown[]) => code as number | null);
  const stdout = collect(child.stdout, exited);
  const stderr = collect(child.stderr, exited);
  return {
    pid: child.pid ?? 0,
    stdout: stdout.text,
    stderr: stderr.text,
    untilOutput: stdout.until,
    untilError: stderr.until,
    type: (keys) => void child.stdin?.write(keys),
    signal: (signal) => void child.kill(signal),
    exited,
  };
}

function collect(stream: NodeJS.ReadableStream | null, exited: Promise<unknown>) {
  let text = '';
  stream?.on('data', (chunk) => {
    text += String(chunk);
  });
  const until = async (pattern: RegExp): Promise<string> => {
    const ended = exited.then(() => true);
    while (!pattern.test(text)) {
      const over = await Promise.race([
        ended,
        stream === null ? ended : once(stream, 'data').then(() => false),
      ]);
      if (over && !pattern.test(text)) throw new Error(`ended without ${pattern}: ${text}`);
    }
    return text;
  };
  return {text: () => text, until};
}
