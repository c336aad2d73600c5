import test, {type ExecutionContext} from 'ava';
import {readingEnvironment} from '../../../reconciler/sources/git-environment.ts';
import {ObjectReader} from '../../../reconciler/sources/object-reader.ts';
import {createGit, type Git} from '../../../runtime/platform/git-process.ts';
import {createGitWorld, type GitWorld} from '../../helpers/git-world.ts';

const signal = AbortSignal.timeout(60_000);

async function start(
  t: ExecutionContext,
): Promise<{world: GitWorld; git: Git; reader: ObjectReader; blob: string}> {
  const world = await createGitWorld(t, {fixture: 'simple', bare: true});
  const git = createGit({
    environment: readingEnvironment(world.environment, {safeDirectory: world.path, gitDirectory: world.path}),
  });
  const reader = new ObjectReader(git, 'contents');
  t.teardown(() => reader.close());
  return {world, git, reader, blob: await world.git('rev-parse', 'main:src/price.ts')};
}

test('many requests at once are answered in order by one process', async (t) => {
  const {git, reader, blob} = await start(t);
  const replies = await Promise.all(
    Array.from({length: 500}, (_, index) =>
      reader.read(index % 2 === 0 ? blob : 'nothing', {maxBytes: 100, signal}),
    ),
  );
  t.true(replies.every((reply, index) => reply.found === (index % 2 === 0)));
  t.is(git.started(), 1);
});

test('a killed process is replaced and what was open is answered', async (t) => {
  const {git, reader, blob} = await start(t);
  await reader.read(blob, {maxBytes: 100, signal});
  const {pid} = reader;
  if (pid === undefined) return t.fail('no process');
  process.kill(pid, 'SIGSTOP');
  const open = [blob, blob, blob].map((spec) => reader.read(spec, {maxBytes: 100, signal}));
  process.kill(pid, 'SIGKILL');
  for (const reply of await Promise.all(open)) t.like(reply, {found: true, type: 'blob'});
  t.not(reader.pid, pid);
  t.is(git.started(), 2);
});

test('an object too large to be read past does not disturb the others', async (t) => {
  const {world, reader, blob} = await start(t);
  await world.commit('main', {big: new Uint8Array(8 * 1024 * 1024)});
  const big = await world.git('rev-parse', 'main:big');
  const replies = await Promise.all(
    [blob, big, blob, big, blob].map((spec) => reader.read(spec, {maxBytes: 100, signal})),
  );
  t.deepEqual(
    replies.map((reply) => (reply.found ? reply.sizeBytes : null)),
    [25, 8 * 1024 * 1024, 25, 8 * 1024 * 1024, 25],
  );
});

test('a git that dies each time is an error for all who asked, after a few tries', async (t) => {
  const {world} = await start(t);
  const git = createGit({environment: {...world.environment, GIT_DIR: `${world.directory}/nowhere`}});
  const broken = new ObjectReader(git, 'contents');
  const asked = Array.from({length: 100}, () => broken.read('a'.repeat(40), {maxBytes: 1, signal}));
  for (const end of await Promise.allSettled(asked)) {
    t.regex(end.status === 'rejected' ? String(end.reason) : '', /not a git repository/);
  }
  t.true(git.started() <= 5);
});

test('a machine without git says so', async (t) => {
  const git = createGit({environment: {PATH: '/nowhere'}});
  await t.throwsAsync(new ObjectReader(git, 'sizes').read('a'.repeat(40), {maxBytes: 1, signal}), {
    message: /git cannot be started.*Install git/,
  });
});

test('a name with a line feed is refused, so that one request stays one', async (t) => {
  const {reader, blob} = await start(t);
  await t.throwsAsync(reader.read(`${blob}\n${blob}`, {maxBytes: 1, signal}), {
    message: /not an object name/,
  });
});
