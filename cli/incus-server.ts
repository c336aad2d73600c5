import {createPrivateKey, X509Certificate} from 'node:crypto';
import {join} from 'node:path';
import type {IncusAddress} from '../api/incus-client.ts';
import {kindOf} from '../runtime/platform/directories.ts';
import {readTextIfPresent} from '../runtime/platform/durable-file.ts';
import {lstat} from '../runtime/platform/files.ts';
import type {Config} from '../schemas/config.ts';
import {AppError} from '../schemas/errors.ts';
import type {Environment} from './settings.ts';

/** The server of the configuration. Throws PROVIDER_UNAVAILABLE where there is none, CONFIG_INVALID for a file of it. */
export async function findIncusServer(
  {socket, url, client_certificate, client_key, server_certificate}: Config['incus'],
  environment: Environment,
  nowMs: number,
): Promise<IncusAddress> {
  if (url === undefined) return {socketPath: await findIncusSocket(socket, environment)};
  const certificate = await readPem('client_certificate', client_certificate ?? '');
  const key = await readPem('client_key', client_key ?? '');
  requirePair({certificate, key}, nowMs);
  const path = server_certificate;
  const authority = path === undefined ? undefined : await readPem('server_certificate', path);
  if (authority !== undefined) parseCertificate('server_certificate', authority);
  return {url, trust: {certificate, key, authority}};
}

/** Never says what is in the file. */
async function readPem(
  setting: 'client_certificate' | 'client_key' | 'server_certificate',
  path: string,
): Promise<string> {
  const text = await readTextIfPresent(path).catch((cause: unknown) => {
    throw invalid(setting, `${path} cannot be read: ${cause instanceof Error ? cause.message : cause}.`);
  });
  if (text === null) throw invalid(setting, `there is no file ${path}.`);
  if (setting === 'client_key' && ((await lstat(path)).mode & 0o077) !== 0)
    throw invalid(setting, `others may read ${path}: chmod 600 it.`);
  return text;
}

function requirePair({certificate, key}: {certificate: string; key: string}, nowMs: number): void {
  const parsed = parseCertificate('client_certificate', certificate);
  if (Date.parse(parsed.validTo) < nowMs)
    throw invalid('client_certificate', `it has expired on ${parsed.validTo}. Make another one.`);
  try {
    if (parsed.checkPrivateKey(createPrivateKey(key))) return;
  } catch {
    // The engine's words could tell of the key.
    throw invalid('client_key', 'the file holds no private key that can be read.');
  }
  throw invalid('client_key', 'it is not the key of incus.client_certificate.');
}

function parseCertificate(
  setting: 'client_certificate' | 'server_certificate',
  text: string,
): X509Certificate {
  try {
    return new X509Certificate(text);
  } catch (cause) {
    throw new AppError('CONFIG_INVALID', `incus.${setting}: the file holds no certificate (PEM).`, {cause});
  }
}

function invalid(setting: string, what: string): AppError {
  return new AppError('CONFIG_INVALID', `incus.${setting}: ${what}`);
}

/**
 * Path of the Incus or LXD server's socket on this host: that of the configuration, of INCUS_SOCKET, INCUS_DIR or
 * LXD_DIR, or the first usual one that is there. Throws PROVIDER_UNAVAILABLE where there is none.
 */
async function findIncusSocket(
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
    `No Incus or LXD server listens at ${usual.join(' or ')}. Start it, or name its socket with \`incus.socket\`, or its address with \`incus.url\`, of branchtab.yaml.`,
  );
}
