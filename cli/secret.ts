import {execFile} from 'node:child_process';
import {promisify} from 'node:util';
import {readTextIfPresent} from '../runtime/platform/durable-file.ts';
import {AppError} from '../schemas/errors.ts';
import type {SecretSource} from '../schemas/secret-source.ts';
import type {Environment} from './settings.ts';

const commandTimeoutMs = 10_000;
const largestBytes = 128 * 1024;

/**
 * Reads a value that the configuration refers to, without the white space around it. Throws CONFIG_INVALID with the
 * source and never with the value.
 */
export async function readSecret(source: SecretSource, environment: Environment): Promise<string> {
  const value = (await readSource(source, environment))?.trim() ?? '';
  if (value !== '') return value;
  throw new AppError('CONFIG_INVALID', `${placeOf(source)} is missing or empty.`);
}

async function readSource(
  source: SecretSource,
  environment: Environment,
): Promise<string | null | undefined> {
  if ('from_env' in source) return environment[source.from_env];
  if ('from_file' in source) return readTextIfPresent(source.from_file);
  return outputOf(source.from_command, environment);
}

/** What the command writes to its error stream is not shown: it may name the value. */
async function outputOf(command: string, environment: Environment): Promise<string> {
  try {
    const options = {env: {...environment}, timeout: commandTimeoutMs, maxBuffer: largestBytes};
    return (await promisify(execFile)('/bin/sh', ['-c', command], options)).stdout;
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : null;
    const how = typeof code === 'number' ? `ended with ${code}` : 'did not end in time or wrote too much';
    throw new AppError('CONFIG_INVALID', `the command ${JSON.stringify(command)} ${how}.`, {cause});
  }
}

function placeOf(source: SecretSource): string {
  if ('from_env' in source) return `the variable ${source.from_env}`;
  return 'from_file' in source ? source.from_file : `the output of ${JSON.stringify(source.from_command)}`;
}
