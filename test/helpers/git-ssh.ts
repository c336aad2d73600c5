import {execFile, spawn} from 'node:child_process';
import {once} from 'node:events';
import {chmod, mkdir, readFile, writeFile} from 'node:fs/promises';
import {createServer, type Socket} from 'node:net';
import {join} from 'node:path';
import {promisify} from 'node:util';
import type {GitWorld, Teardown} from './git-world.ts';

const run = promisify(execFile);
const sshd = '/usr/sbin/sshd';

export interface GitSsh {
  /** `ssh://` URL of the world's repository. */
  readonly url: string;
  readonly keyFile: string;
  readonly knownHostsFile: string;
}

export async function hasSshServer(): Promise<boolean> {
  return await Bun.file(sshd).exists();
}

/**
 * Serves the world's repository by an OpenSSH server on loopback, with keys and configuration of its own in the
 * world's directory. Every connection is an `sshd -i` behind our own socket, so that nothing outlives the test.
 */
export async function serveOverSsh(t: Teardown, world: GitWorld): Promise<GitSsh> {
  const directory = join(world.directory, 'ssh with blanks 100%');
  await mkdir(directory, {mode: 0o700});
  // Where sshd of root puts its unprivileged half; it refuses to start without.
  if (process.getuid?.() === 0) await mkdir('/run/sshd', {recursive: true});
  const [hostKey, keyFile] = [join(directory, 'host'), join(directory, 'user')];
  for (const file of [hostKey, keyFile])
    await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', file]);
  const plain = join(world.directory, 'ssh');
  await mkdir(plain);
  const authorizedKeys = join(plain, 'authorized_keys');
  await writeFile(authorizedKeys, await readFile(`${keyFile}.pub`), {mode: 0o600});
  await writeFile(join(plain, 'host'), await readFile(hostKey), {mode: 0o600});
  const configuration = join(plain, 'sshd_config');
  await writeFile(
    configuration,
    [
      `HostKey ${join(plain, 'host')}`,
      `AuthorizedKeysFile ${authorizedKeys}`,
      'StrictModes no',
      'UsePAM no',
      'PasswordAuthentication no',
      'KbdInteractiveAuthentication no',
      'PermitRootLogin prohibit-password',
      'AcceptEnv GIT_PROTOCOL',
      'PidFile none',
      'PrintMotd no',
      '',
    ].join('\n'),
  );
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    const child = spawn(sshd, ['-i', '-e', '-f', configuration], {stdio: ['pipe', 'pipe', 'ignore']});
    child.stdin.on('error', () => {});
    socket.on('error', () => child.kill());
    socket.on('close', () => sockets.delete(socket));
    socket.pipe(child.stdin);
    child.stdout.pipe(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const knownHostsFile = join(directory, 'known_hosts');
  const [type, key] = (await readFile(`${hostKey}.pub`, 'utf8')).split(' ');
  await writeFile(knownHostsFile, `[127.0.0.1]:${address.port} ${type} ${key}\n`);
  await chmod(keyFile, 0o600);
  return {
    url: `ssh://${(await run('id', ['-un'])).stdout.trim()}@127.0.0.1:${address.port}${world.path}`,
    keyFile,
    knownHostsFile,
  };
}
