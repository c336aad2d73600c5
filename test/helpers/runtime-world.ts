import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {mkdir, mkdtemp, rm} from 'node:fs/promises';
import {type IncomingMessage, request} from 'node:http';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import {createInterface} from 'node:readline';
import type {Teardown} from './git-world.ts';

/** A real runtime under a controller's socket, in a directory of its own: `<root>/{store,home,workspace}`. */
export interface RuntimeWorld {
  readonly root: string;
  readonly pid: number;
  /** `http://127.0.0.1:port` of its own listener. */
  readonly kitUrl: string;
  readonly controlSocket: string;
  /** One request over the control socket. A `body` that ends early is sent as it is. */
  control(method: string, path: string, body?: string | Uint8Array): Promise<{status: number; text: string}>;
}

export async function createRuntimeWorld(t: Teardown): Promise<RuntimeWorld> {
  const root = await mkdtemp(join(tmpdir(), 'bt-runtime-'));
  const directories = {
    store: join(root, 'store'),
    home: join(root, 'home'),
    workspace: join(root, 'workspace'),
  };
  for (const directory of Object.values(directories)) await mkdir(directory);
  const socketPath = join(root, 'control.sock');
  const child = spawn(
    process.execPath,
    [
      join(import.meta.dirname, '../../runtime/start.ts'),
      'runtime',
      ...['--data', directories.store, '--home', directories.home, '--workspace', directories.workspace],
      ...[
        '--control',
        `unix:${socketPath}`,
        '--listen',
        '127.0.0.1:0',
        '--container',
        'test',
        '--boot',
        'one',
      ],
    ],
    {env: {PATH: process.env.PATH ?? ''}, stdio: ['ignore', 'pipe', 'pipe']},
  );
  const exited = once(child, 'exit');
  t.teardown(async () => {
    child.kill('SIGKILL');
    await exited;
    await rm(root, {recursive: true, force: true});
  });
  let words = '';
  child.stderr.on('data', (chunk) => {
    words = `${words}${chunk}`.slice(-4000);
  });
  const [line]: unknown[] = await Promise.race([
    once(createInterface({input: child.stdout}), 'line'),
    exited.then(() => Promise.reject(new Error(`the runtime did not start: ${words}`))),
  ]);
  const {kit_url: kitUrl, pid} = JSON.parse(String(line)) as {kit_url: string; pid: number};
  return {
    root,
    pid,
    kitUrl,
    controlSocket: socketPath,
    async control(method, path, body = '') {
      const outgoing = request({
        socketPath,
        method,
        path,
        headers: {'Content-Length': Buffer.byteLength(body)},
      });
      // A refusal may come before the body was taken.
      const failed = once(outgoing, 'error').then(([error]: unknown[]) => Promise.reject(error));
      failed.catch(() => {});
      outgoing.end(body);
      const [answer] = (await Promise.race([once(outgoing, 'response'), failed])) as [IncomingMessage];
      const chunks: Buffer[] = [];
      for await (const chunk of answer) chunks.push(chunk as Buffer);
      return {status: answer.statusCode ?? 0, text: Buffer.concat(chunks).toString()};
    },
  };
}
