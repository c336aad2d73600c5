import type {ExecutionContext, TestFn} from 'ava';
import {
  type HoodyTree,
  maxHoodyFileBytes,
  type Source,
  type TreeChange,
} from '../../reconciler/sources/source.ts';
import type {Claim} from '../../schemas/claim.ts';
import {AppError} from '../../schemas/errors.ts';
import {createGitWorld, type GitWorld, type GitWorldOptions, importBranches} from '../helpers/git-world.ts';

/** One way to have a repository and a source on it. */
export interface SourceSetup {
  readonly name: string;
  readonly world: Pick<GitWorldOptions, 'bare'>;
  open(t: ExecutionContext, world: GitWorld): Promise<Source>;
}

/** What every `Source` does. Each behaviour becomes one test with the setup's name before it. */
export function sourceContract(test: TestFn, setup: SourceSetup): void {
  const signal = AbortSignal.timeout(100_000);

  async function start(
    t: ExecutionContext,
    options: GitWorldOptions = {},
  ): Promise<{world: GitWorld; source: Source}> {
    const world = await createGitWorld(t, {...setup.world, ...options});
    const source = await setup.open(t, world);
    t.teardown(() => source.close());
    return {world, source};
  }

  async function hoody(source: Source, commit: string): Promise<HoodyTree> {
    const tree = await source.readHoody(commit, {signal});
    if (tree === null) throw new Error(`commit ${commit} has no .hoody`);
    return tree;
  }

  async function changesOf(source: Source, from: string, to: string): Promise<TreeChange[]> {
    return await source.diffTrees((await hoody(source, from)).rootTree, (await hoody(source, to)).rootTree, {
      signal,
    });
  }

  const behaves = (title: string, implementation: (t: ExecutionContext) => Promise<void>) =>
    test(`${setup.name}: ${title}`, implementation);

  behaves('lists every branch with its commit and the default branch', async (t) => {
    const {world, source} = await start(t, {fixture: 'simple'});
    const {branches, defaultBranch} = await source.list({signal});
    t.deepEqual([...branches.keys()].sort(), ['feature/billing-v2', 'main', 'no-hoody']);
    t.is(branches.get('feature/billing-v2'), await world.git('rev-parse', 'refs/heads/feature/billing-v2'));
    t.is(defaultBranch, 'main');
  });

  behaves('says whose it is to one who claims it, and lets only one of two have it', async (t) => {
    const {world, source} = await start(t, {fixture: 'simple'});
    await world.git('config', 'http.receivepack', 'true');
    const {ownerRef} = source;
    const claimOf = (digit: string): Claim => ({
      schema_version: 1,
      owner: digit.repeat(32),
      repository: source.repository,
      host: 'a "host" of \'quotes\'',
      state_directory: '/srv/state',
      claimed_at: '2026-01-01T00:00:00.000Z',
    });
    t.is(await ownerRef.read(), null);
    t.true(await ownerRef.replace(null, claimOf('a')));
    t.false(await ownerRef.replace(null, claimOf('b')));
    const first = await ownerRef.read();
    t.deepEqual(first?.claim, claimOf('a'));
    t.true(await ownerRef.replace(first, claimOf('b')));
    t.false(await ownerRef.replace(first, claimOf('c')));
    const second = await ownerRef.read();
    t.deepEqual(second?.claim, claimOf('b'));
    const {branches} = await source.list({signal});
    t.deepEqual([...branches.keys()].sort(), ['feature/billing-v2', 'main', 'no-hoody']);
    t.deepEqual((await ownerRef.read())?.claim, claimOf('b'));
    t.is(await world.git('log', '-1', '--format=%an', 'refs/branchtab/owner'), 'Branchtab');
    t.false(await ownerRef.replace(first, null));
    t.true(await ownerRef.replace(second, null));
    t.is(await ownerRef.read(), null);
  });

  behaves(
    'takes whatever else its owner ref holds for a claim of somebody, and harms nothing by it',
    async (t) => {
      const {world, source} = await start(t, {fixture: 'simple'});
      const {ownerRef} = source;
      const main = await world.git('rev-parse', 'refs/heads/main');
      const blob = await world.gitWithInput('x'.repeat(100_000), 'hash-object', '-w', '--stdin');
      const tree = await world.git('rev-parse', `${main}^{tree}`);
      const long = await world.gitWithInput('x'.repeat(100_000), 'commit-tree', tree);
      for (const object of [blob, tree, main, long]) {
        await world.git('update-ref', 'refs/branchtab/owner', object);
        const found = await ownerRef.read();
        t.is(found?.text, object);
        t.is(found?.claim, null);
      }
      // Nobody can push a symbolic ref.
      if (source.kind === 'remote') return;
      await world.git('symbolic-ref', 'refs/branchtab/owner', 'refs/heads/main');
      const found = await ownerRef.read();
      t.is(found?.claim, null);
      await ownerRef.replace(found, null).catch(() => false);
      t.is(await world.git('rev-parse', 'refs/heads/main'), main);
    },
  );

  behaves('a repository without commits is a complete, empty listing', async (t) => {
    const {source} = await start(t);
    t.is((await source.list({signal})).branches.size, 0);
  });

  behaves('sees new commits, new branches, force pushes and deletions in the next listing', async (t) => {
    const {world, source} = await start(t, {fixture: 'simple'});
    const before = await source.list({signal});
    const added = await world.commit('topic', {'a.txt': 'a'});
    const moved = await world.commit('main', {'b.txt': 'b'});
    await world.git('update-ref', 'refs/heads/feature/billing-v2', before.branches.get('main') ?? '');
    await world.deleteBranch('no-hoody');
    const {branches} = await source.list({signal});
    t.deepEqual(
      new Map([...branches].sort()),
      new Map([
        ['feature/billing-v2', before.branches.get('main') ?? ''],
        ['main', moved],
        ['topic', added],
      ]),
    );
    t.truthy(await source.readHoody(moved, {signal}), 'objects that came after the first listing are read');
  });

  behaves('a branch may turn into a directory of branches', async (t) => {
    const {world, source} = await start(t, {fixture: 'simple'});
    await world.commit('topic', {'a.txt': 'a'});
    t.true((await source.list({signal})).branches.has('topic'));
    await world.deleteBranch('topic');
    const commit = await world.commit('topic/one', {'a.txt': 'b'});
    const {branches} = await source.list({signal});
    t.is(branches.get('topic/one'), commit);
    t.false(branches.has('topic'));
  });

  behaves(
    'S42: names with slashes, unicode, 200 characters and pairs that differ only in case',
    async (t) => {
      const {world, source} = await start(t, {fixture: 'simple'});
      const long = `long/${'x'.repeat(195)}`;
      const names = [
        'experiment/llm-rollups',
        'grüße/日本語',
        long,
        'Case',
        'case',
        `quote'and"$(id);|&`,
        '-dash',
      ];
      const commits = new Map<string, string>();
      for (const name of names) commits.set(name, await world.commit(name, {'name.txt': name}));
      await world.git('pack-refs', '--all');
      const {branches} = await source.list({signal});
      for (const [name, commit] of commits) t.is(branches.get(name), commit, name);
      for (const commit of commits.values()) t.truthy(await source.readHoody(commit, {signal}));
    },
  );

  behaves('packed refs are listed as loose ones are', async (t) => {
    const {world, source} = await start(t, {fixture: 'simple'});
    const loose = await source.list({signal});
    await world.git('pack-refs', '--all');
    const packed = await source.list({signal});
    t.deepEqual(new Map(packed.branches), new Map(loose.branches));
  });

  behaves('reads all files below .hoody, byte for byte', async (t) => {
    const {world, source} = await start(t);
    const crlf = '* * * * * echo a\r\n# kommentar: grün\r\n';
    const binary = new Uint8Array([0, 10, 13, 255, 0, 10]);
    const commit = await world.commit('main', {
      '.hoody/crontab': crlf,
      '.hoody/exec/deep/er/data.bin': binary,
      '.hoody/exec/empty.ts': '',
      'other.txt': 'not below .hoody',
    });
    await source.list({signal});
    const tree = await hoody(source, commit);
    t.deepEqual(
      tree.files.map(({path, bytes, size}) => ({path, bytes: [...(bytes ?? [])], size})),
      [
        {path: '.hoody/crontab', bytes: [...Buffer.from(crlf)], size: Buffer.byteLength(crlf)},
        {path: '.hoody/exec/deep/er/data.bin', bytes: [...binary], size: 6},
        {path: '.hoody/exec/empty.ts', bytes: [], size: 0},
      ],
    );
    t.is(tree.rootTree, await world.git('rev-parse', `${commit}^{tree}`));
    t.is(tree.hoodyTree, await world.git('rev-parse', `${commit}:.hoody`));
  });

  behaves('reads single files of a commit and follows no link', async (t) => {
    const {world, source} = await start(t, {fixture: 'simple'});
    const large = Buffer.alloc(maxHoodyFileBytes + 1);
    await world.commit('main', {'src/a.ts': 'a', 'large.bin': large});
    const commit = await world.commit('main', {
      'link.ts': {mode: 'symlink', content: 'src/a.ts'},
      linked: {mode: 'symlink', content: 'src'},
    });
    await source.list({signal});
    const read = (path: string) => source.readFile(commit, path, {signal});
    const found = await read('src/a.ts');
    t.is(found.kind === 'file' && Buffer.from(found.bytes).toString(), 'a');
    t.deepEqual(await read('large.bin'), {kind: 'too_large', size: large.byteLength});
    for (const path of ['link.ts', 'linked', 'linked/a.ts']) t.deepEqual(await read(path), {kind: 'link'});
    t.deepEqual(await read('src'), {kind: 'directory'});
    for (const path of [
      'none.ts',
      'src/none/x.ts',
      'src/a.ts/x',
      '..',
      '../x',
      '',
      'src//a.ts',
      './src/a.ts',
    ])
      t.deepEqual(await read(path), {kind: 'absent'}, path);
  });

  behaves('a commit without .hoody, or with a file of that name, has none', async (t) => {
    const {world, source} = await start(t, {fixture: 'simple'});
    const asFile = await world.commit('as-file', {'.hoody': 'a file'}, 'file', {from: null});
    const {branches} = await source.list({signal});
    const without = branches.get('no-hoody') ?? '';
    t.is(await source.readHoody(without, {signal}), null);
    t.is(await source.readHoody(asFile, {signal}), null);
    const main = branches.get('main') ?? '';
    t.deepEqual(await source.hasHoody([without, main, asFile], {signal}), new Set([main]));
  });

  behaves('a .hoody file above the limit is reported by its size only', async (t) => {
    const {world, source} = await start(t);
    const commit = await world.commit('main', {
      '.hoody/big': new Uint8Array(9 * 1024 * 1024),
      '.hoody/crontab': '# small\n',
    });
    await source.list({signal});
    const [big, crontab] = (await hoody(source, commit)).files;
    t.is(big?.bytes, null);
    t.is(big?.size, 9 * 1024 * 1024);
    t.is(
      Buffer.from(crontab?.bytes ?? []).toString(),
      '# small\n',
      'what is asked for after it is still answered',
    );
  });

  behaves('a blob above maxBytes is refused with its size, one at the limit is read', async (t) => {
    const {world, source} = await start(t);
    await world.commit('main', {'ten.txt': '0123456789'});
    await source.list({signal});
    const id = await world.git('rev-parse', 'main:ten.txt');
    t.is(Buffer.from(await source.readBlob(id, {maxBytes: 10, signal})).toString(), '0123456789');
    const error = await t.throwsAsync(source.readBlob(id, {maxBytes: 9, signal}), {instanceOf: AppError});
    t.is(error.code, 'PAYLOAD_TOO_LARGE');
    t.regex(error.message, /10 bytes/);
  });

  behaves('an object that does not exist is an error, also for hasHoody', async (t) => {
    const {source} = await start(t, {fixture: 'simple'});
    await source.list({signal});
    const absent = 'deadbeef'.repeat(5);
    for (const attempt of [
      () => source.readHoody(absent, {signal}),
      () => source.hasHoody([absent], {signal}),
      () => source.diffTrees(null, absent, {signal}),
      () => source.readBlob(absent, {maxBytes: 10, signal}),
    ]) {
      const error = await t.throwsAsync(attempt, {instanceOf: AppError});
      t.is(error.code, 'REPOSITORY_UNREADABLE');
      t.regex(error.message, /missing/);
    }
  });

  behaves('an empty workspace gets every file with its mode; submodules are left out', async (t) => {
    const {world, source} = await start(t);
    const commit = await world.commit('main', {
      '.hoody/crontab': '# none\n',
      'bin/run': {mode: 'executable', content: '#!/bin/sh\n'},
      link: {mode: 'symlink', content: 'bin/run'},
      module: {mode: 'submodule', content: 'a'.repeat(40)},
      'ünïcode name.txt': 'x',
    });
    await source.list({signal});
    const {rootTree} = await hoody(source, commit);
    const changes = await source.diffTrees(null, rootTree, {signal});
    t.deepEqual(
      changes.map((change) => [change.kind, change.path, change.kind === 'write' ? change.mode : null]),
      [
        ['write', '.hoody/crontab', 'file'],
        ['write', 'bin/run', 'executable'],
        ['write', 'link', 'symlink'],
        ['write', 'ünïcode name.txt', 'file'],
      ],
    );
    t.deepEqual(await source.diffTrees(rootTree, rootTree, {signal}), []);
  });

  behaves('a diff names what changed, and deletes come before writes', async (t) => {
    const {world, source} = await start(t);
    const base = {'.hoody/crontab': '# none\n', 'same/deep/file': 'same', changed: '1', gone: 'x', mode: 'm'};
    const from = await world.commit('main', {...base, path: 'a file', 'tree/inner': 'i'});
    const to = await world.commit('main', {
      changed: '2',
      gone: null,
      mode: {mode: 'executable', content: 'm'},
      path: null,
      'path/now/deep': 'a directory',
      'tree/inner': null,
      tree: 'a file',
    });
    await source.list({signal});
    t.deepEqual(
      (await changesOf(source, from, to)).map(({kind, path}) => `${kind} ${path}`),
      [
        'delete gone',
        'delete path',
        'delete tree/inner',
        'write changed',
        'write mode',
        'write path/now/deep',
        'write tree',
      ],
    );
  });

  behaves('a file that becomes a submodule is deleted', async (t) => {
    const {world, source} = await start(t);
    const from = await world.commit('main', {'.hoody/crontab': '# none\n', lib: 'a file'});
    const to = await world.commit('main', {lib: {mode: 'submodule', content: 'b'.repeat(40)}});
    await source.list({signal});
    t.deepEqual(await changesOf(source, from, to), [{kind: 'delete', path: 'lib'}]);
  });

  behaves('goes on reading while gc repacks the repository', async (t) => {
    const {world, source} = await start(t, {fixture: 'simple'});
    await source.list({signal});
    for (let round = 0; round < 3; round += 1) {
      const commit = await world.commit('main', {'round.txt': String(round)});
      const reads = source.list({signal}).then(() => hoody(source, commit));
      await Promise.all([reads, world.git('gc', '--quiet', '--prune=now')]);
      t.is((await hoody(source, commit)).files.length, 2);
    }
  });

  behaves('an aborted call rejects and later calls are answered right', async (t) => {
    const {world, source} = await start(t, {fixture: 'simple'});
    const {branches} = await source.list({signal});
    const main = branches.get('main') ?? '';
    const stopped = new AbortController();
    const aborted = source.readHoody(main, {signal: stopped.signal});
    stopped.abort(new Error('no longer wanted'));
    await t.throwsAsync(aborted, {message: 'no longer wanted'});
    await t.throwsAsync(source.list({signal: stopped.signal}), {message: 'no longer wanted'});
    const id = await world.git('rev-parse', 'main:src/price.ts');
    t.is(
      Buffer.from(await source.readBlob(id, {maxBytes: 100, signal})).toString(),
      'export const price = 10;\n',
    );
  });

  behaves('lists 3,000 branches and finds their .hoody without a process for each', async (t) => {
    const {world, source} = await start(t);
    const names = Array.from({length: 3000}, (_, index) => `topic/${index % 100}/${index}`);
    await importBranches(world, names, (branch) => ({'.hoody/crontab': `# ${branch}\n`}));
    await world.git('pack-refs', '--all');
    const {branches} = await source.list({signal});
    t.is(branches.size, 3000);
    t.is((await source.hasHoody([...branches.values()], {signal})).size, 3000);
  });

  behaves('tells which branches are in a commit, and which have nothing left that it lacks', async (t) => {
    const {world, source} = await start(t, {fixture: 'simple'});
    await world.git('branch', 'contained', 'main');
    await world.commit('squashed', {'src/new.ts': 'export {};\n'});
    await world.commit('open', {'src/open.ts': 'export {};\n'});
    const main = await world.commit('main', {'src/new.ts': 'export {};\n', 'src/other.ts': ''});
    const {branches} = await source.list({signal});
    const tips = ['contained', 'squashed', 'open'].map((branch) => ({
      branch,
      commit: branches.get(branch) ?? '',
    }));
    t.deepEqual([...(await source.branchesContainedIn(main, tips, {signal}))], ['contained']);
    t.deepEqual([...(await source.branchesEqualIn(main, tips.slice(1), {signal}))], ['squashed']);
  });

  behaves('finds a commit by the beginning of its id, in the history of a branch alone', async (t) => {
    const {world, source} = await start(t, {fixture: 'simple'});
    const first = await world.commit('main', {'a.txt': 'a\n'});
    const second = await world.commit('main', {'a.txt': 'b\n'});
    const other = await world.commit('other', {'a.txt': 'c\n'});
    await source.list({signal});
    t.is(await source.findInHistory(second, first.slice(0, 10), {signal}), first);
    t.is(await source.findInHistory(second, second, {signal}), second);
    t.is(await source.findInHistory(first, second, {signal}), null);
    t.is(await source.findInHistory(second, other, {signal}), null);
    t.is(await source.findInHistory(second, '0'.repeat(40), {signal}), null);
    // What git would take for an option, another ref or an expression is no id.
    for (const text of ['main', '--help', 'HEAD~1', `${second}~1`, ''])
      t.is(await source.findInHistory(second, text, {signal}), null);
  });

  behaves('names its branches by the time of their commits', async (t) => {
    const {world, source} = await start(t, {fixture: 'simple'});
    const tree = await world.git('rev-parse', 'main^{tree}');
    for (const [branch, year] of [
      ['old', 2001],
      ['new', 2037],
    ] as const) {
      const person = `author A <a@example.org> ${Date.UTC(year) / 1000} +0000`;
      const commit = await world.gitWithInput(
        `tree ${tree}\n${person}\n${person.replace('author', 'committer')}\n\n${branch}\n`,
        'hash-object',
        '-t',
        'commit',
        '-w',
        '--stdin',
      );
      await world.git('update-ref', `refs/heads/${branch}`, commit);
    }
    await source.list({signal});
    const names = await source.newestFirst({signal});
    t.is(names[0], 'new');
    t.is(names.at(-1), 'old');
    t.true(names.includes('main'));
  });

  behaves('after close every read is refused', async (t) => {
    const {source} = await start(t, {fixture: 'simple'});
    const {branches} = await source.list({signal});
    await source.close();
    await t.throwsAsync(source.readHoody(branches.get('main') ?? '', {signal}), {instanceOf: AppError});
  });
}
