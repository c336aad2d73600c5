import {spawn} from 'node:child_process';
import {once} from 'node:events';
import {existsSync} from 'node:fs';
import {mkdtemp, readFile, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import type {ExecutionContext} from 'ava';
import {systemClock} from '../../../../runtime/platform/clock.ts';
import {silentLog} from '../../../../runtime/platform/log.ts';
import {type ProviderWorld, registerContainerProviderContract} from '../../../contract/container-provider.ts';
import {createInProcessHost, type Inside, type StartInside} from '../../../helpers/in-process-provider.ts';

/** What `test/helpers/stub-runtime.ts` is to providers that start processes. */
const startStub: StartInside = async (record, paths, {signal}) => {
  const setting = (name: string) => join(paths.data, name);
  await writeFile(setting('boot-mark'), record.boot_mark);
  if (existsSync(setting('stub-mode')))
    await new Promise((_, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason));
      // It may have been given up before anybody listened.
      if (signal.aborted) reject(signal.reason);
    });
  const answer = async (request: Request): Promise<Response> => {
    const {pathname} = new URL(request.url);
    if (pathname === '/health') return new Response('ok');
    if (pathname === '/id') return new Response(record.id);
    if (pathname === '/fetch') return await fetch(await request.text());
    const child = spawn('sh', ['-c', await request.text()], {cwd: paths.data});
    const chunks: Buffer[] = [];
    child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
    await once(child, 'close');
    return new Response(Buffer.concat(chunks).toString());
  };
  await rm(paths.controlSocket, {force: true});
  const servers = [
    Bun.serve({unix: paths.controlSocket, fetch: answer}),
    Bun.serve({hostname: '127.0.0.1', port: 0, fetch: answer}),
  ] as const;
  const kill: Inside['kill'] = async () => {
    for (const server of servers) await server.stop(true);
  };
  return {
    kitUrl: `http://127.0.0.1:${servers[1].port}`,
    runtimeVersion: '0.0.1-stub',
    kill,
    async stop(grace) {
      await writeFile(setting('stopped-on-sigterm'), 'yes');
      const stopMs = existsSync(setting('stub-stop-ms'))
        ? await readFile(setting('stub-stop-ms'), 'utf8')
        : 0;
      await systemClock
        .sleep(Math.min(grace.graceMs, Number(stopMs)), {signal: grace.signal})
        .catch(() => {});
      await kill();
    },
  };
};

async function setup(t: ExecutionContext): Promise<ProviderWorld> {
  const root = await mkdtemp(join(tmpdir(), 'bt-in-'));
  const stateDirectory = join(root, 'state');
  const host = createInProcessHost(startStub);
  const open = () => host.open({stateDirectory, socketRoot: root, clock: systemClock, log: silentLog});
  t.teardown(async () => {
    await host.close();
    await rm(root, {recursive: true, force: true});
  });
  return {
    provider: await open(),
    reopen: open,
    startInProcessThatIsKilled: async () => t.fail('it has no process of its own'),
    directories: (id) => ({
      data: join(stateDirectory, 'containers', id, 'data'),
      workspace: join(stateDirectory, 'containers', id, 'srv'),
    }),
    outside: {state: '', credentials: ''},
    runs: async () => false,
  };
}

registerContainerProviderContract({name: 'in process', skipReason: null, hasProcesses: false, setup});
