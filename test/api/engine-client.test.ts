import {mkdtemp, rm, writeFile} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {createEngineClient} from '../../api/engine-client.ts';

const {signal} = new AbortController();

/** The engine's words for a moment that nobody can bring about at will. */
async function engineThatSays(t: ExecutionContext, message: string) {
  const socketPath = join(await mkdtemp(join(tmpdir(), 'bte-')), 'engine.sock');
  const server = Bun.serve({unix: socketPath, fetch: () => Response.json({message}, {status: 500})});
  t.teardown(() => server.stop(true));
  return createEngineClient({socketPath});
}

test('a container whose last run is still being cleared up has no output yet', async (t) => {
  const engine = await engineThatSays(
    t,
    "failed to connect to container's attach socket: /run/x/userdata/attach: no such file or directory",
  );
  t.is(await engine.attach('c1', {signal}), null);
});

test('every other failure of attaching is told in the words of the engine', async (t) => {
  const engine = await engineThatSays(t, 'no space left on device');
  await t.throwsAsync(engine.attach('c1', {signal}), {
    code: 'PROVIDER_UNAVAILABLE',
    message: /^no space left on device \(POST \/containers\/c1\/attach at unix:/,
  });
});

test('where no engine is, and where nobody listens any more, is said in words', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'bte-'));
  t.teardown(() => rm(directory, {recursive: true, force: true}));
  const socketPath = join(directory, 'engine.sock');
  const {facts} = createEngineClient({socketPath});
  const asks = (said: string) =>
    t.throwsAsync(facts(), {
      code: 'PROVIDER_UNAVAILABLE',
      message: `The container engine at unix://${socketPath} does not answer: ${said}. Start it, or name another one with DOCKER_HOST.`,
    });
  await asks('there is no such socket');
  await writeFile(socketPath, '');
  await asks('nobody listens there');
});
