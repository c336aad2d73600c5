import {spawn} from 'node:child_process';
import {mkdtemp, realpath, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {ExecutionContext} from 'ava';
import type {OperationName} from './cron-operations.ts';

export interface KilledOperation {
  readonly directory: string;
  /** False where the operation had fewer steps. */
  readonly killed: boolean;
  /** In order, in words; the last one is what it was killed right before. */
  readonly steps: readonly string[];
  readonly acknowledged: boolean;
  /** Of the acknowledged entry. */
  readonly id: string | null;
}

const tracer = join(import.meta.dirname, 'kill-at-step.ts');
const program = join(import.meta.dirname, 'cron-operation.ts');

/** Carries an operation out on a directory of its own and kills the service before the step of that number, from 1. */
export async function killOperation(
  t: ExecutionContext,
  operation: OperationName,
  step: number,
): Promise<KilledOperation> {
  const directory = await realpath(await mkdtemp(join(tmpdir(), 'cron-killed-')));
  t.teardown(() => rm(directory, {recursive: true, force: true}));
  const words = [tracer, String(step), directory, process.execPath, program, directory, operation];
  const {killed, steps, output} = JSON.parse(await outputOf(t, words));
  const acknowledged = /^acknowledged (.*)$/m.exec(output);
  const id = acknowledged?.[1] ?? 'null';
  return {
    directory,
    killed,
    steps,
    acknowledged: acknowledged !== null,
    id: id === 'null' ? null : id,
  };
}

async function outputOf(t: ExecutionContext, words: readonly string[]): Promise<string> {
  const tracing = spawn(process.execPath, words, {stdio: ['ignore', 'pipe', 'pipe']});
  // What it traces ends with it.
  t.teardown(() => tracing.kill('SIGKILL'));
  const exited = new Promise<number | null>((resolve) => tracing.once('close', resolve));
  const [stdout, stderr] = await Promise.all([textOf(tracing.stdout), textOf(tracing.stderr)]);
  if ((await exited) !== 0) throw new Error(`The traced operation failed: ${stderr}`);
  return stdout;
}

async function textOf(stream: NodeJS.ReadableStream): Promise<string> {
  let text = '';
  for await (const chunk of stream) text += chunk;
  return text;
}
