import {readTextIfPresent} from '../runtime/platform/durable-file.ts';
import type {SecretSource} from '../schemas/config.ts';
import {AppError} from '../schemas/errors.ts';
import type {Environment} from './settings.ts';

/** Reads a value that the configuration refers to, without the white space around it. Throws CONFIG_INVALID. */
export async function readSecret(
  key: string,
  source: SecretSource,
  environment: Environment,
): Promise<string> {
  const [place, text] =
    'from_env' in source
      ? [`the variable ${source.from_env}`, environment[source.from_env]]
      : [source.from_file, await readTextIfPresent(source.from_file)];
  const value = text?.trim() ?? '';
  if (value === '') throw new AppError('CONFIG_INVALID', `${key}: ${place} is missing or empty.`);
  return value;
}
