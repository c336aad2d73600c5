import {chmod, mkdir, rename, rm, symlink, writeFile} from 'node:fs/promises';
import {join} from 'node:path';
import test, {type ExecutionContext} from 'ava';
import {type GitSource, openLocalSource} from '../../../reconciler/sources/git-local.ts';
import {systemClock} from '../../../runtime/platform/clock.ts';
import {type Log, silentLog} from '../../../runtime/platform/log.ts';
import {AppError, type ErrorCode} from '../../../schemas/errors.ts';
import {createGitWorld, createPushWorld, type GitWorld, importBranches} from '../../helpers/git-world.ts';

const signal = AbortSignal.timeout(100_000);

async function open(
  t: ExecutionContext,
  world: GitWorld,
  {
    path = world.path,
    log = silentLog,
    environment = {},
  }: {path?: string; log?: Log; environment?: Record<string, string>} = {},
): Promise<GitSource> {
  const source = await openLocalSource({
    path,
    environment: {...world.environment, ...environment},
    clock: systemClock,
    log,
  });
  t.teardown(() => source.close());
  return source;
}

async function unreadableError(t: ExecutionContext, attempt: Promise<unknown>): Promise<AppError> {
  return errorOf(t, attempt, 'REPOSITORY_UNREADABLE');
}

async function errorOf(t: ExecutionContext, attempt: Promise<unknown>, code: ErrorCode): Promise<AppError> {
  const error = await t.throwsAsync(attempt, {instanceOf: AppError});
  t.is(error.code, code);
  return error;
}

/** Resolves at the next call of `watch`, and fails the test when none comes. */
async function nextChange(source: GitSource, cause: () => Promise<unknown>): Promise<void> {
  const {promise, resolve, reject} = Promise.withResolvers<void>();
  const stop = source.watch(resolve);
  const deadline = setTimeout(() => reject(new Error('no event came')), 20_000);
  await cause();
  await promise.finally(() => clearTimeout(deadline));
  stop();
}

test('a path inside a work tree, through a link, is the repository at its top', async (t) => {
  const world = await createGitWorld(t, {fixture: 'simple'});
  await symlink(join(world.path, 'src'), join(world.directory, 'link'));
  t.is((await open(t, world, {path: join(world.directory, 'link')})).repository, world.path);
  t.is((await open(t, world, {path: join(world.path, '.git')})).repository, world.path);
});

test('a linked work tree shows the same branches and sees new ones', async (t) => {
  const world = await createGitWorld(t, {fixture: 'simple'});
  const linked = join(world.directory, 'linked');
  await world.git('worktree', 'add', '--quiet', linked, 'feature/billing-v2');
  const source = await open(t, world, {path: linked});
  t.is(source.repository, linked);
  t.is((await source.list({signal})).branches.size, 3);
  await nextChange(source, () => world.commit('later', {'a.txt': 'a'}));
  const {branches, defaultBranch} = await source.list({signal});
  t.true(branches.has('later'));
  t.is(defaultBranch, 'main');
  t.truthy(await source.readHoody(branches.get('later') ?? '', {signal}));
});

test("a clone's default branch is the one of its origin", async (t) => {
  const {origin, clone} = await createPushWorld(t, {fixture: 'simple'});
  await origin.git('symbolic-ref', 'HEAD', 'refs/heads/feature/billing-v2');
  await clone.git('remote', 'set-head', 'origin', '--auto');
  t.is((await (await open(t, clone)).list({signal})).defaultBranch, 'feature/billing-v2');
});

test('a detached HEAD without any local branch is served as HEAD', async (t) => {
  const {clone} = await createPushWorld(t, {fixture: 'simple'});
  const commit = await clone.git('rev-parse', 'HEAD');
  await clone.git('checkout', '--quiet', '--detach');
  await clone.git('branch', '--quiet', '-D', 'main');
  const source = await open(t, clone);
  const {branches, defaultBranch} = await source.list({signal});
  t.deepEqual(new Map(branches), new Map([['HEAD', commit]]));
  t.is(defaultBranch, 'HEAD');
  t.is(await source.readRef('HEAD', {signal}), commit);
});

test('a detached HEAD beside local branches adds nothing', async (t) => {
  const world = await createGitWorld(t, {fixture: 'simple'});
  await world.git('checkout', '--quiet', '--detach');
  const {branches} = await (await open(t, world)).list({signal});
  t.deepEqual([...branches.keys()].sort(), ['feature/billing-v2', 'main', 'no-hoody']);
});

test('the default branch of an empty repository is the one HEAD will make', async (t) => {
  const world = await createGitWorld(t, {bare: true});
  t.is((await (await open(t, world)).list({signal})).defaultBranch, 'main');
});

test('readRef gives the commit of exactly this branch, else null', async (t) => {
  const world = await createGitWorld(t, {fixture: 'simple'});
  const source = await open(t, world);
  t.is(await source.readRef('main', {signal}), await world.git('rev-parse', 'main'));
  for (const name of [
    'feature',
    'mai',
    'main/x',
    '*',
    'ma?n',
    'heads/main',
    'main^{}',
    '../heads/main',
    'HEAD',
    '-x',
    '',
  ]) {
    t.is(await source.readRef(name, {signal}), null, name);
  }
  await world.deleteBranch('main');
  t.is(await source.readRef('main', {signal}), null);
});

test('a ref that cannot be read is an error, not a deleted branch', async (t) => {
  const world = await createGitWorld(t, {fixture: 'simple', bare: true});
  const source = await open(t, world);
  await writeFile(join(world.path, 'refs/heads/no-hoody'), '');
  const error = await unreadableError(t, source.list({signal}));
  t.regex(error.message, /refs\/heads\/no-hoody/);
  await unreadableError(t, source.readRef('no-hoody', {signal}));
  t.truthy(await source.readRef('main', {signal}), 'the other branches are not hurt');
});

test('files in refs/heads that are no refs are left out', async (t) => {
  const world = await createGitWorld(t, {fixture: 'simple', bare: true});
  await writeFile(join(world.path, 'refs/heads/main 2'), `${'a'.repeat(40)}\n`);
  await writeFile(join(world.path, 'refs/heads/.DS_Store'), 'x');
  t.is((await (await open(t, world)).list({signal})).branches.size, 3);
});

test('a branch whose name is not UTF-8 is left out with a warning', async (t) => {
  const world = await createGitWorld(t, {fixture: 'simple', bare: true});
  const commit = await world.git('rev-parse', 'main');
  await world.git('pack-refs', '--all');
  const line = Buffer.concat([
    Buffer.from(`# pack-refs with: peeled fully-peeled sorted \n${commit} refs/heads/`),
    Buffer.from([0xe4, 0x0a]),
  ]);
  await writeFile(
    join(world.path, 'packed-refs'),
    Buffer.concat([line, Buffer.from(`${commit} refs/heads/main\n`)]),
  );
  const warnings: string[] = [];
  const source = await open(t, world, {log: {...silentLog, warn: (message) => warnings.push(message)}});
  for (const _ of [1, 2]) t.deepEqual([...(await source.list({signal})).branches.keys()], ['main']);
  t.is(warnings.length, 1, 'once, not at every listing');
  t.regex(warnings[0] ?? '', /UTF-8/);
});

test('a listing is one process, and a hundred reads are two more', async (t) => {
  const world = await createGitWorld(t, {fixture: 'simple'});
  const source = await open(t, world);
  const opened = source.gitProcesses();
  const {branches} = await source.list({signal});
  t.is(source.gitProcesses() - opened, 1);
  const main = branches.get('main') ?? '';
  await Promise.all(Array.from({length: 100}, () => source.readHoody(main, {signal})));
  t.is(source.gitProcesses() - opened, 3);
});

test('10,000 branches are listed and looked through by three processes', async (t) => {
  const world = await createGitWorld(t, {bare: true});
  const names = Array.from({length: 10_000}, (_, index) => `b/${index}`);
  await importBranches(world, names, (branch) => ({'.hoody/crontab': `# ${branch}\n`}));
  await world.git('pack-refs', '--all');
  const source = await open(t, world);
  const opened = source.gitProcesses();
  const {branches} = await source.list({signal});
  t.is(branches.size, 10_000);
  t.is((await source.hasHoody([...branches.values()], {signal})).size, 10_000);
  t.true(source.gitProcesses() - opened <= 3);
});

for (const [title, change] of [
  ['a commit', (world: GitWorld) => world.commit('main', {'a.txt': 'a'})],
  ['a new branch in a new directory', (world: GitWorld) => world.commit('new/deep/branch', {'a.txt': 'a'})],
  ['a deleted branch', (world: GitWorld) => world.deleteBranch('no-hoody')],
  ['packing of refs', (world: GitWorld) => world.git('pack-refs', '--all')],
  ['a checkout', (world: GitWorld) => world.git('symbolic-ref', 'HEAD', 'refs/heads/no-hoody')],
] as const) {
  test(`an event comes for ${title}`, async (t) => {
    const world = await createGitWorld(t, {fixture: 'simple'});
    const source = await open(t, world);
    await t.notThrowsAsync(nextChange(source, () => change(world)));
  });
}

test('an event comes for a second commit to a branch whose directory appeared after watching began', async (t) => {
  const world = await createGitWorld(t, {fixture: 'simple', bare: true});
  const source = await open(t, world);
  const stop = source.watch(() => {});
  t.teardown(stop);
  for (let round = 0; round < 3; round += 1) {
    await nextChange(source, () => world.commit('fresh/branch', {'a.txt': String(round)}));
    await nextChange(source, () => world.deleteBranch('fresh/branch'));
  }
  t.false((await source.list({signal})).branches.has('fresh/branch'));
});

test('watching survives that the repository vanishes, and listing says so', async (t) => {
  const world = await createGitWorld(t, {fixture: 'simple', bare: true});
  const source = await open(t, world);
  await nextChange(source, () =>
    rename(world.path, `${world.path}.away`)
      .then(() => world.git('--version').catch(() => {}))
      .then(() => rm(join(`${world.path}.away`, 'refs/heads/main'))),
  );
  const error = await unreadableError(t, source.list({signal}));
  t.regex(error.message, /not a git repository/);
  await rename(`${world.path}.away`, world.path);
  t.is((await source.list({signal})).branches.size, 2);
});

test('no repository, no directory, a file: each error says what to do', async (t) => {
  const world = await createGitWorld(t);
  const plain = join(world.directory, 'plain');
  await mkdir(plain);
  t.regex((await unreadableError(t, open(t, world, {path: plain}))).message, /git init/);
  t.regex(
    (await unreadableError(t, open(t, world, {path: join(world.directory, 'absent')}))).message,
    /moved or deleted/,
  );
  await writeFile(join(world.directory, 'file'), '');
  await unreadableError(t, open(t, world, {path: join(world.directory, 'file')}));
});

const asRoot = process.getuid?.() === 0 ? test : test.skip;

asRoot('a repository of another user is read when its exact path is given', async (t) => {
  const world = await createGitWorld(t, {fixture: 'simple'});
  await Bun.$`chown -R 65534:65534 ${world.path}`.quiet();
  t.is((await (await open(t, world)).list({signal})).branches.size, 3);
  const error = await unreadableError(t, open(t, world, {path: join(world.path, 'src')}));
  t.regex(error.message, /exact top directory/);
});

asRoot('a directory of refs that may not be opened is an error, not fewer branches', async (t) => {
  const world = await createGitWorld(t, {fixture: 'simple', bare: true});
  await chmod(join(world.path, 'refs/heads/feature'), 0o700);
  await chmod(world.directory, 0o755);
  const script = `
    import {openLocalSource} from '${import.meta.dirname}/../../../reconciler/sources/git-local.ts';
    import {systemClock} from '${import.meta.dirname}/../../../runtime/platform/clock.ts';
    const log = {info() {}, warn() {}, error() {}};
    const source = await openLocalSource({path: '${world.path}', environment: {PATH: process.env.PATH}, clock: systemClock, log});
    const result = await source.list({signal: AbortSignal.timeout(20000)}).catch((error) => error.code + ' ' + error.message);
    console.log(typeof result === 'string' ? result : 'listed ' + result.branches.size);
    process.exit(0);`;
  const uid = '65534';
  const output =
    await Bun.$`setpriv --reuid ${uid} --regid ${uid} --clear-groups ${process.execPath} -e ${script}`
      .nothrow()
      .quiet();
  const text = output.stdout.toString() + output.stderr.toString();
  if (/Cannot find|EACCES.*bun|failed to execute/.test(text))
    return t.log('skipped: another user cannot run this checkout', text);
  t.regex(text, /^REPOSITORY_UNREADABLE/);
  t.regex(text, /Let the user that runs Branchtab read it/);
});

test('inherited GIT_ variables and hostile configuration of the repository change nothing', async (t) => {
  const world = await createGitWorld(t, {fixture: 'simple'});
  const other = await createGitWorld(t);
  const touched = join(world.directory, 'touched');
  const trap = join(world.directory, 'trap');
  await writeFile(trap, `#!/bin/sh\ntouch ${touched}\n`, {mode: 0o755});
  for (const key of [
    'core.fsmonitor',
    'core.sshCommand',
    'core.pager',
    'core.alternateRefsCommand',
    'core.askPass',
    'alias.cat-file',
  ]) {
    await world.git('config', key, trap);
  }
  await world.git('config', 'remote.origin.url', `ext::${trap}`);
  await world.git('config', 'remote.origin.promisor', 'true');
  await world.git('config', 'extensions.partialClone', 'origin');
  const source = await open(t, world, {
    environment: {
      GIT_DIR: other.path,
      GIT_OBJECT_DIRECTORY: '/nowhere',
      GIT_TRACE: '/dev/stderr',
      GIT_EXTERNAL_DIFF: trap,
    },
  });
  t.is((await source.list({signal})).branches.size, 3);
  await unreadableError(t, source.readBlob('deadbeef'.repeat(5), {maxBytes: 10, signal}));
  t.false(await Bun.file(touched).exists());
});

test('nothing in the repository is written', async (t) => {
  const world = await createGitWorld(t, {fixture: 'simple'});
  const state = () => Bun.$`find ${world.path} -printf '%p %T@ %s\n' | sort`.text();
  const before = await state();
  const source = await open(t, world);
  const {branches} = await source.list({signal});
  await source.hasHoody([...branches.values()], {signal});
  await source.readHoody(branches.get('main') ?? '', {signal});
  t.is(await state(), before);
});

test('a tree with a hostile name fails its own branch and names commit and path', async (t) => {
  const world = await createGitWorld(t, {fixture: 'simple', bare: true});
  const blob = await world.gitWithInput('x', 'hash-object', '-w', '--stdin');
  const raw = Buffer.concat([Buffer.from('100644 ..\0'), Buffer.from(blob, 'hex')]);
  const inner = await world.gitWithInput(raw, 'hash-object', '-t', 'tree', '--literally', '-w', '--stdin');
  const hoody = await world.gitWithInput(`040000 tree ${inner}\texec\n`, 'mktree');
  const root = await world.gitWithInput(`040000 tree ${hoody}\t.hoody\n`, 'mktree');
  const commit = await world.git('commit-tree', '-m', 'hostile', root);
  await world.git('update-ref', 'refs/heads/hostile', commit);
  const source = await open(t, world);
  const {branches} = await source.list({signal});
  const error = await errorOf(t, source.readHoody(commit, {signal}), 'CONTENT_REFUSED');
  t.true(error.message.includes(commit));
  t.regex(error.message, /\.hoody\/exec: the name "\.\." is not allowed/);
  await errorOf(t, source.diffTrees(null, root, {signal}), 'CONTENT_REFUSED');
  t.truthy(await source.readHoody(branches.get('main') ?? '', {signal}));
});

test('a symbolic link below .hoody is refused by name', async (t) => {
  const world = await createGitWorld(t);
  const commit = await world.commit('main', {'.hoody/crontab': {mode: 'symlink', content: '/etc/shadow'}});
  const error = await errorOf(t, (await open(t, world)).readHoody(commit, {signal}), 'CONTENT_REFUSED');
  t.regex(error.message, /\.hoody\/crontab: is a symbolic link/);
});

test('a .hoody tree that repeats itself without end is refused', async (t) => {
  const world = await createGitWorld(t, {bare: true});
  const blob = await world.gitWithInput('x', 'hash-object', '-w', '--stdin');
  let tree = await world.gitWithInput(`100644 blob ${blob}\tf\n`, 'mktree');
  for (let depth = 0; depth < 8; depth += 1) {
    tree = await world.gitWithInput(
      Array.from({length: 10}, (_, index) => `040000 tree ${tree}\td${index}\n`).join(''),
      'mktree',
    );
  }
  const root = await world.gitWithInput(`040000 tree ${tree}\t.hoody\n`, 'mktree');
  const commit = await world.git('commit-tree', '-m', 'bomb', root);
  const error = await t.throwsAsync((await open(t, world)).readHoody(commit, {signal}), {
    instanceOf: AppError,
  });
  t.is(error.code, 'PAYLOAD_TOO_LARGE');
});

test('a SHA-256 repository is read as a SHA-1 one is', async (t) => {
  const world = await createGitWorld(t, {fixture: 'simple', objectFormat: 'sha256'});
  const source = await open(t, world);
  const main = (await source.list({signal})).branches.get('main') ?? '';
  t.is(main.length, 64);
  const tree = await source.readHoody(main, {signal});
  t.is(tree?.files.length, 2);
  t.is((await source.diffTrees(null, tree?.rootTree ?? '', {signal})).length, 4);
});

test('a graft by refs/replace is not followed', async (t) => {
  const world = await createGitWorld(t, {fixture: 'simple'});
  const id = await world.git('rev-parse', 'main:src/price.ts');
  const other = await world.gitWithInput('replaced', 'hash-object', '-w', '--stdin');
  await world.git('replace', id, other);
  const bytes = await (await open(t, world)).readBlob(id, {maxBytes: 100, signal});
  t.is(Buffer.from(bytes).toString(), 'export const price = 10;\n');
});
