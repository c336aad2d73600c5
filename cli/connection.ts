import {join, resolve} from 'node:path';
import {type ControllerClient, createControllerClient} from '../api/controller-client.ts';
import {readTextIfPresent} from '../runtime/platform/durable-file.ts';
import {AppError} from '../schemas/errors.ts';
import {readControllerFile} from './controller-file.ts';
import {type Environment, readSettings, type SettingsFlags} from './settings.ts';

export interface ConnectionFlags extends Pick<SettingsFlags, 'repo' | 'state' | 'config'> {
  readonly controller?: string;
}

/**
 * The running controller: `--controller` or `BRANCHTAB_URL` (with `BRANCHTAB_TOKEN`), else the one of the
 * state directory. Throws AppError CONTROLLER_UNREACHABLE with what to do.
 */
export async function connect(flags: ConnectionFlags, environment: Environment): Promise<ControllerClient> {
  const url = flags.controller ?? environment.BRANCHTAB_URL;
  const token = environment.BRANCHTAB_TOKEN;
  if (url !== undefined && token !== undefined)
    return createControllerClient({url: url.replace(/\/+$/, ''), token});
  if (url !== undefined) {
    const ownToken = await localToken(flags, environment);
    if (ownToken !== null) return createControllerClient({url: url.replace(/\/+$/, ''), token: ownToken});
    throw new AppError(
      'UNAUTHENTICATED',
      `Set BRANCHTAB_TOKEN to the token of the controller at ${url}; it is in the file \`token\` of its state directory.`,
    );
  }
  const stateDirectory = await stateDirectoryOf(flags, environment);
  const known = await readControllerFile(stateDirectory);
  const ownToken = token ?? (await tokenIn(stateDirectory));
  if (ownToken === null || known === null) {
    throw new AppError(
      'CONTROLLER_UNREACHABLE',
      `No controller runs on ${stateDirectory}. Start one with \`branchtab up\`, or name one with --state or --controller.`,
    );
  }
  return createControllerClient({url: known.url, token: ownToken});
}

async function stateDirectoryOf(flags: ConnectionFlags, environment: Environment): Promise<string> {
  try {
    return (await readSettings(flags, environment)).stateDirectory;
  } catch (cause) {
    if (!isNoRepository(cause) || !cause.message.startsWith(`${resolve('.')}: `)) throw cause;
    throw new AppError(
      'CONTROLLER_UNREACHABLE',
      'The working directory is no git repository, so nothing says which controller is meant. Go to the repository, or name it with --repo, or the controller with --state or --controller.',
      {cause},
    );
  }
}

/** Null also where the working directory names no state directory, since the address is known without one. */
async function localToken(flags: ConnectionFlags, environment: Environment): Promise<string | null> {
  try {
    return await tokenIn((await readSettings(flags, environment)).stateDirectory);
  } catch (error) {
    if (isNoRepository(error)) return null;
    throw error;
  }
}

function isNoRepository(error: unknown): error is AppError {
  return error instanceof AppError && error.code === 'REPOSITORY_UNREADABLE';
}

async function tokenIn(stateDirectory: string): Promise<string | null> {
  return (await readTextIfPresent(join(stateDirectory, 'token')))?.trim() ?? null;
}
