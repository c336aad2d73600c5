import {kindOf, replaceWithHardLink} from '../../runtime/platform/directories.ts';
import {AppError} from '../../schemas/errors.ts';
import type {ContainerPaths} from './container-paths.ts';

/**
 * Gives the runtime's socket a second name outside of what its container can write. Jobs of the container may
 * replace the first name by a link to a socket of the host; the second stays with the runtime that was started.
 */
export async function linkControlSocket(name: string, paths: ContainerPaths): Promise<void> {
  const made = await kindOf(paths.runtimeSocket);
  if (made !== null) await replaceWithHardLink(paths.runtimeSocket, paths.controlSocket);
  // Looked at afterwards, since the first name may have changed hands in between.
  if (made !== null && (await kindOf(paths.controlSocket)) === 'socket') return;
  throw new AppError(
    'PROVIDER_UNAVAILABLE',
    `The runtime of ${name} is ready but made no socket at ${paths.runtimeSocket}.`,
  );
}
