import {join} from 'node:path';
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
  const {stateDirectory} = await readSettings(flags, environment);
  const known = await readControllerFile(stateDirectory);
  const ownToken = token ?? (await readTextIfPresent(join(stateDirectory, 'token')))?.trim();
  if (url !== undefined && ownToken === undefined) {
    throw new AppError('UNAUTHENTICATED', `Set BRANCHTAB_TOKEN to the token of the controller at ${url}`);
  }
  if (ownToken === undefined || (url === undefined && known === null)) {
    throw new AppError(
      'CONTROLLER_UNREACHABLE',
      `No controller runs on ${stateDirectory}. Start one with \`branchtab up\`, or name one with --state or --controller.`,
    );
  }
  return createControllerClient({url: (url ?? known?.url ?? '').replace(/\/+$/, ''), token: ownToken});
}
