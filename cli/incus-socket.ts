import {join} from 'node:path';
import {kindOf} from '../runtime/platform/directories.ts';
import {AppError} from '../schemas/errors.ts';
import type {Environment} from './settings.ts';

/**
 * Path of the Incus or LXD server's socket on this host: that of the configuration, of INCUS_SOCKET, INCUS_DIR or
 * LXD_DIR, or the first usual one that is there. Throws PROVIDER_UNAVAILABLE where there is none.
 */
export async function findIncusSocket(
  configured: string | undefined,
  {INCUS_SOCKET, INCUS_DIR, LXD_DIR}: Environment,
): Promise<string> {
  if (configured !== undefined) return configured;
  if (INCUS_SOCKET) return INCUS_SOCKET;
  const directory = INCUS_DIR || LXD_DIR;
  if (directory) return join(directory, 'unix.socket');
  const usual = [
    '/run/incus/unix.socket',
    '/var/lib/incus/unix.socket',
    '/var/snap/lxd/common/lxd/unix.socket',
    '/var/lib/lxd/unix.socket',
  ];
  for (const path of usual) {
    // A directory that we may not look into is somebody else's.
    if ((await kindOf(path).catch(() => null)) === 'socket') return path;
  }
  throw new AppError(
    'PROVIDER_UNAVAILABLE',
    `No Incus or LXD server listens at ${usual.join(' or ')}. Start it, or name its socket with \`incus.socket\` of branchtab.yaml.`,
  );
}
