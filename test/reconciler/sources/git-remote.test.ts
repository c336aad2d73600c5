import {mkdir, readdir, readFile, rename, writeFile} from 'node:fs/promises';
import {createServer, type Server} from 'node:http';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import type {GitSource} from '../../../reconciler/sources/git-local.ts';
import {openRemoteSource} from '../../../reconciler/sources/git-remote.ts';
import type {RemoteAccess} from '../../../reconciler/sources/remote-access.ts';
import {silentLog} from '../../../runtime/platform/log.ts';
import {AppError} from '../../../schemas/errors.ts';
import {FakeClock} from '../../helpers/fake-clock.ts';
import {createGitWorld, createPushWorld, type GitWorld, importBranches} from '../../helpers/git-world.ts';

const signal = AbortSignal.timeout(100_000);

interface OpenOptions {
  readonly url?: string;
  readonly access?: RemoteAccess;
  readonly clock?: FakeClock;
  readonly environment?: Record<string, string>;
}

const mirrorOf = (world: GitWorld) => join(world.directory, 'state', 'mirror');

async function open(t: ExecutionContext, world: GitWorld, options: OpenOptions = {}): Promise<GitSource> {
  const source = await openRemoteSource({
    url: options.url ?? `file://${world.path}`,
    access: options.access ?? {kind: 'address'},
    mirrorDirectory: mirrorOf(world),
    environment: {...world.environment, ...options.environment},
    clock: options.clock ?? new FakeClock(),
    log: silentLog,
  });
  t.teardown(() => source.close());
  return source;
}

async function unreadableError(t: ExecutionContext, attempt: Promise<unknown>): Promise<AppError> {
  const error = await t.throwsAsync(attempt, {instanceOf: AppError});
  t.is(error.code, 'REPOSITORY_UNREADABLE');
  return error;
}

/** A server that answers every request as `answer` says and keeps the Authorization headers it saw. */
async function serve(
  t: ExecutionContext,
  answer: {status: number; body?: string; headers?: Record<string, string>},
) {
  const authorizations: (string | undefined)[] = [];
  const server: Server = createServer((request, response) => {
    authorizations.push(request.headers.authorization);
    response.writeHead(answer.status, answer.headers).end(answer.body ?? '');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {host: `127.0.0.1:${address.port}`, authorizations};
}

/** Everything that stands in the mirror's files, as one text. */
async function textOfMirror(world: GitWorld): Promise<string> {
  const files = await readdir(mirrorOf(world), {recursive: true, withFileTypes: true});
  const texts = files
    .filter((file) => file.isFile())
    .map((file) => readFile(join(file.parentPath, file.name), 'latin1'));
  return (await Promise.all(texts)).join('\n');
}

test('a pass without change is one process, one with a change three', async (t) => {
  const {origin, push} = await createPushWorld(t, {fixture: 'simple'});
  const source = await open(t, origin);
  await source.list({signal});
  const counted = async () => {
    const before = source.gitProcesses();
    await source.list({signal});
    return source.gitProcesses() - before;
  };
  t.is(await counted(), 1);
  await push('main', {'a.txt': 'a'});
  t.is(await counted(), 3);
});

test('a mirror made by an earlier controller is used again', async (t) => {
  const {origin, push, deleteBranch} = await createPushWorld(t, {fixture: 'simple'});
  const first = await open(t, origin);
  await first.list({signal});
  await first.close();
  const commit = await push('later', {'a.txt': 'a'});
  await deleteBranch('no-hoody');
  const {branches} = await (await open(t, origin)).list({signal});
  t.deepEqual([...branches.keys()].sort(), ['feature/billing-v2', 'later', 'main']);
  t.is(branches.get('later'), commit);
});

test('what a killed fetch left does not stop the next controller', async (t) => {
  const {origin, push} = await createPushWorld(t, {fixture: 'simple'});
  const first = await open(t, origin);
  await first.list({signal});
  await first.close();
  const mirror = mirrorOf(origin);
  const leftovers = ['packed-refs.lock', 'HEAD.lock', 'refs/heads/main.lock', 'objects/pack/tmp_pack_abc'];
  for (const file of leftovers) await writeFile(join(mirror, file), 'x');
  const commit = await push('main', {'a.txt': 'a'});
  t.is((await (await open(t, origin)).list({signal})).branches.get('main'), commit);
  const files = await readdir(mirror, {recursive: true});
  t.deepEqual(
    files.filter((file) => file.endsWith('.lock') || file.includes('tmp_')),
    [],
  );
});

for (const [title, file, text] of [
  ['an empty ref', 'refs/heads/main', ''],
  ['half a file of packed refs', 'packed-refs', 'a94a8fe5ccb19ba61c4c08'],
] as const) {
  test(`a mirror in which a power cut left ${title} is filled again`, async (t) => {
    const {origin} = await createPushWorld(t, {fixture: 'simple'});
    const first = await open(t, origin);
    await first.list({signal});
    await first.close();
    await writeFile(join(mirrorOf(origin), file), text);
    const source = await open(t, origin);
    const {branches} = await source.list({signal});
    t.is(branches.size, 3);
    t.is((await source.hasHoody([...branches.values()], {signal})).size, 2);
  });
}

test('a rewritten branch is followed', async (t) => {
  const {origin, forcePush} = await createPushWorld(t, {fixture: 'simple'});
  const source = await open(t, origin);
  await source.list({signal});
  const commit = await forcePush('main', {'.hoody/crontab': '# rewritten\n'});
  t.is((await source.list({signal})).branches.get('main'), commit);
  t.is((await source.readHoody(commit, {signal}))?.files.length, 1);
});

test('tags and other refs stay outside the mirror', async (t) => {
  const {origin} = await createPushWorld(t, {fixture: 'simple'});
  await origin.git('tag', 'v1', 'main');
  await origin.git('update-ref', 'refs/pull/1/head', 'main');
  await origin.git('update-ref', 'refs/remotes/x/refs/heads/y', 'main');
  t.is((await (await open(t, origin)).list({signal})).branches.size, 3);
  t.notRegex(await textOfMirror(origin), /refs\/(tags|pull)\//);
});

test('a changed default branch is seen after ten minutes, or at once when the old one is gone', async (t) => {
  const {origin} = await createPushWorld(t, {fixture: 'simple'});
  const clock = new FakeClock();
  const source = await open(t, origin, {clock});
  const defaultBranch = async () => (await source.list({signal})).defaultBranch;
  t.is(await defaultBranch(), 'main');
  await origin.git('symbolic-ref', 'HEAD', 'refs/heads/no-hoody');
  t.is(await defaultBranch(), 'main');
  await clock.advance(10 * 60_000);
  t.is(await defaultBranch(), 'no-hoody');
  await origin.git('symbolic-ref', 'HEAD', 'refs/heads/feature/billing-v2');
  await origin.deleteBranch('no-hoody');
  t.is(await defaultBranch(), 'feature/billing-v2');
});

test('listings asked for at the same time do not disturb each other', async (t) => {
  const {origin} = await createPushWorld(t, {fixture: 'simple'});
  const source = await open(t, origin);
  const listings = await Promise.all([1, 2, 3, 4].map(() => source.list({signal})));
  t.deepEqual(
    listings.map(({branches}) => branches.size),
    [3, 3, 3, 3],
  );
});

test('a remote that vanishes is an error; when it is back, so is the listing', async (t) => {
  const {origin} = await createPushWorld(t, {fixture: 'simple'});
  const source = await open(t, origin);
  await source.list({signal});
  await rename(origin.path, `${origin.path}.away`);
  const error = await unreadableError(t, source.list({signal}));
  t.regex(error.message, /Check the address/);
  await rename(`${origin.path}.away`, origin.path);
  t.is((await source.list({signal})).branches.size, 3);
});

test('a SHA-256 remote gets a mirror of its kind', async (t) => {
  const {origin} = await createPushWorld(t, {fixture: 'simple', objectFormat: 'sha256'});
  const source = await open(t, origin);
  const {branches} = await source.list({signal});
  t.is((await source.readHoody(branches.get('main') ?? '', {signal}))?.files.length, 2);
});

test('a remote without commits, then with some', async (t) => {
  const world = await createGitWorld(t, {bare: true});
  const source = await open(t, world);
  t.deepEqual([...(await source.list({signal})).branches], []);
  const commit = await world.commit('main', {'a.txt': 'a'});
  const {branches, defaultBranch} = await source.list({signal});
  t.is(branches.get('main'), commit);
  t.is(defaultBranch, 'main');
});

test('a listing that was aborted does not hurt the next', async (t) => {
  const {origin} = await createPushWorld(t, {fixture: 'simple'});
  const source = await open(t, origin);
  const stopped = new AbortController();
  const aborted = source.list({signal: stopped.signal});
  stopped.abort(new Error('no longer wanted'));
  await t.throwsAsync(aborted, {message: 'no longer wanted'});
  t.is((await source.list({signal})).branches.size, 3);
});

test('credentials go to the server and nowhere else', async (t) => {
  const world = await createGitWorld(t);
  const {host, authorizations} = await serve(t, {status: 403});
  const source = await open(t, world, {url: `http://robot:hunter2%21@${host}/app.git`});
  t.is(source.repository, `http://${host}/app.git`);
  const error = await unreadableError(t, source.list({signal}));
  t.is(authorizations[0], `Basic ${Buffer.from('robot:hunter2!').toString('base64')}`);
  const shown = JSON.stringify([
    error.message,
    error.details,
    error.stack,
    String(error.cause),
    source.repository,
  ]);
  for (const secret of ['hunter2', Buffer.from('robot:hunter2!').toString('base64')]) {
    t.false(shown.includes(secret));
    t.false((await textOfMirror(world)).includes(secret));
  }
  t.regex(error.message, /credentials/);
});

test('credentials are not sent on to another host', async (t) => {
  const world = await createGitWorld(t);
  const other = await serve(t, {status: 404});
  const {host} = await serve(t, {
    status: 302,
    headers: {location: `http://${other.host}/app.git/info/refs?service=git-upload-pack`},
  });
  await unreadableError(
    t,
    (await open(t, world, {url: `http://robot:hunter2@${host}/app.git`})).list({signal}),
  );
  t.deepEqual(new Set(other.authorizations), new Set([undefined]));
});

test('a server that asks for a password is an error, not a prompt', async (t) => {
  const world = await createGitWorld(t);
  const {host} = await serve(t, {status: 401, headers: {'www-authenticate': 'Basic realm="x"'}});
  const error = await unreadableError(
    t,
    (await open(t, world, {url: `http://${host}/app.git`})).list({signal}),
  );
  t.regex(error.message, /credentials/);
});

for (const [title, answer] of [
  ['an HTML page', {status: 200, body: '<html>maintenance</html>', headers: {'content-type': 'text/html'}}],
  ['an empty body', {status: 200}],
  [
    'an empty body of the right type',
    {status: 200, headers: {'content-type': 'application/x-git-upload-pack-advertisement'}},
  ],
  [
    'an answer cut short',
    {
      status: 200,
      body: '001e# service=git-upload-pack\n0000',
      headers: {'content-type': 'application/x-git-upload-pack-advertisement'},
    },
  ],
  ['an internal error', {status: 500}],
] as const) {
  test(`${title} is an error, not an empty repository`, async (t) => {
    const world = await createGitWorld(t);
    const {host} = await serve(t, answer);
    await unreadableError(t, (await open(t, world, {url: `http://${host}/app.git`})).list({signal}));
  });
}

test('a port where nobody listens', async (t) => {
  const world = await createGitWorld(t);
  const error = await unreadableError(
    t,
    (await open(t, world, {url: 'http://127.0.0.1:1/app.git'})).list({signal}),
  );
  t.regex(error.message, /network/);
});

test('a path or a transport that is not allowed is refused before git is asked', async (t) => {
  const world = await createGitWorld(t);
  for (const url of [world.path, 'ext::sh -c "touch x"', 'git://host/app']) {
    const error = await t.throwsAsync(open(t, world, {url}), {instanceOf: AppError});
    t.is(error.code, 'CONFIG_INVALID');
  }
});

test("the user's git configuration cannot bring back another transport or a hook", async (t) => {
  const {origin, push} = await createPushWorld(t, {fixture: 'simple'});
  const touched = join(origin.directory, 'touched');
  const trap = `touch ${touched}`;
  const hooks = join(origin.directory, 'hooks');
  await mkdir(hooks);
  await writeFile(join(hooks, 'reference-transaction'), `#!/bin/sh\ntouch ${touched}\n`, {mode: 0o755});
  await writeFile(
    join(origin.environment.HOME ?? '', '.gitconfig'),
    `[core]\n\thooksPath = ${hooks}\n[protocol]\n\tallow = always\n`,
  );
  const source = await open(t, origin, {
    environment: {GIT_DIR: '/nowhere', GIT_SSH_COMMAND: trap, EDITOR: trap, PAGER: trap, SSH_ASKPASS: trap},
  });
  await source.list({signal});
  await push('main', {'a.txt': 'a'});
  await source.list({signal});
  t.false(await Bun.file(touched).exists());
});

test('a path with spaces and unicode in a file URL', async (t) => {
  const {origin} = await createPushWorld(t, {fixture: 'simple'});
  const odd = join(origin.directory, 'with space ü 100%.git');
  await rename(origin.path, odd);
  const source = await open(t, origin, {url: `file://${odd.replace('%', '%25')}`});
  t.is((await source.list({signal})).branches.size, 3);
});

test('reading one ref is for local repositories', async (t) => {
  const {origin} = await createPushWorld(t, {fixture: 'simple'});
  await t.throwsAsync((await open(t, origin)).readRef('main', {signal}), {instanceOf: AppError});
});

test('a remote of many branches is asked once for a listing, and once more where something is new', async (t) => {
  const {origin} = await createPushWorld(t, {fixture: 'simple'});
  const names = Array.from({length: 300}, (_, index) => `team-${index % 10}/branch-${index}`);
  await importBranches(origin, names, (branch) => ({'.hoody/crontab': `# ${branch}\n`}));
  const source = await open(t, origin);
  t.is((await source.list({signal})).branches.size, 303);
  const counted = async () => {
    const before = source.gitProcesses();
    await source.list({signal});
    return source.gitProcesses() - before;
  };
  t.is(await counted(), 1);
  await origin.commit('team-3/branch-13', {'a.txt': 'a'});
  t.is(await counted(), 3, 'one asks, one fetches, one lists the mirror');
  t.is(await counted(), 1);
});
