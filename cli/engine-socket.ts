import {join} from 'node:path';
import {kindOf} from '../runtime/platform/directories.ts';
import {AppError} from '../schemas/errors.ts';
import type {Environment} from './settings.ts';

/**
 * Path of the container engine's socket: that of the configuration, of DOCKER_HOST, or the first usual one that is
 * there. Throws CONFIG_INVALID for an engine elsewhere, PROVIDER_UNAVAILABLE where there is none.
 */
export async function findEngineSocket(
  configured: string | undefined,
  {DOCKER_HOST, XDG_RUNTIME_DIR}: Environment,
): Promise<string> {
  const named = configured ?? (DOCKER_HOST || undefined);
  if (named !== undefined) {
    const path = /^unix:\/\/(\/.+)$/.exec(named)?.[1];
    if (path !== undefined) return path;
    throw new AppError(
      'CONFIG_INVALID',
      `DOCKER_HOST is ${named}: containers have files of this host, so the engine must run here. Write unix:///path/to/its/socket.`,
    );
  }
  const usual = [
    '/var/run/docker.sock',
    ...(XDG_RUNTIME_DIR
      ? [join(XDG_RUNTIME_DIR, 'docker.sock'), join(XDG_RUNTIME_DIR, 'podman/podman.sock')]
      : []),
    '/run/podman/podman.sock',
  ];
  for (const path of usual) {
    // A directory that we may not look into is somebody else's.
    if ((await kindOf(path).catch(() => null)) === 'socket') return path;
  }
  throw new AppError(
    'PROVIDER_UNAVAILABLE',
    `No container engine listens at ${usual.join(' or ')}. Start Docker or \`podman system service\`, or name its socket with DOCKER_HOST=unix:///path.`,
  );
}
