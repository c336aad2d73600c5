import {spawn} from 'node:child_process';
import {mkdir, mkdtemp, readdir, readFile, realpath, rm} from 'node:fs/promises';
import {tmpdir} from 'node:os';
import {join, relative} from 'node:path';

/** What the helper needs of AVA's `t`. */
export interface Teardown {
  teardown(end: () => unknown): void;
}

/** Content of a path in a commit; null deletes it. A submodule's content is the commit id it points to. */
export type WorldFile =
  | string
  | Uint8Array
  | null
  | {readonly mode: 'executable' | 'symlink' | 'submodule'; readonly content: string};

export type WorldFiles = Readonly<Record<string, WorldFile>>;

/** A real git repository in a directory of its own, untouched by the configuration of who runs the tests. */
export interface GitWorld {
  /** The repository: top of the work tree, or the bare repository. */
  readonly path: string;
  /** A temporary directory around it; free for the test, removed at its end. */
  readonly directory: string;
  /** What to give a source: PATH and an empty HOME, nothing else. */
  readonly environment: Readonly<Record<string, string>>;
  /** Runs git in the repository; trimmed stdout, or an Error with stderr. */
  git(...args: string[]): Promise<string>;
  gitWithInput(input: string | Uint8Array, ...args: string[]): Promise<string>;
  /**
   * Commits on top of the branch; a new branch starts at `from`, by default `main` when there is one.
   * Returns the commit id. A checked out branch is updated in the work tree too.
   */
  commit(
    branch: string,
    files: WorldFiles,
    message?: string,
    options?: {from?: string | null},
  ): Promise<string>;
  deleteBranch(branch: string): Promise<void>;
}

export interface GitWorldOptions {
  /** A directory of `fixtures/repos`. */
  readonly fixture?: string;
  readonly bare?: boolean;
  readonly objectFormat?: 'sha1' | 'sha256';
}

const fixturesDirectory = join(import.meta.dirname, '../../fixtures/repos');
const modes = {executable: '100755', symlink: '120000', submodule: '160000'};

export async function createGitWorld(
  t: Teardown,
  {fixture, bare = false, objectFormat = 'sha1'}: GitWorldOptions = {},
): Promise<GitWorld> {
  const directory = await realpath(await mkdtemp(join(tmpdir(), 'branchtab-git-')));
  t.teardown(() => rm(directory, {recursive: true, force: true}));
  await mkdir(join(directory, 'home'));
  const path = join(directory, bare ? 'repository.git' : 'repository');
  await runGit(directory, directory, [
    'init',
    '--quiet',
    `--object-format=${objectFormat}`,
    '-b',
    'main',
    ...(bare ? ['--bare'] : []),
    path,
  ]);
  const world = worldAt({path, directory, bare});
  if (fixture !== undefined) await importFixture(world, join(fixturesDirectory, fixture));
  if (fixture !== undefined && !bare) await world.git('reset', '--quiet', '--hard');
  return world;
}

export interface PushWorld {
  /** Bare: where a controller looks. */
  readonly origin: GitWorld;
  /** A clone of it: where a person works. */
  readonly clone: GitWorld;
  /** Commits in the clone and pushes that branch; returns the commit id. */
  push(branch: string, files: WorldFiles, message?: string): Promise<string>;
  /** Replaces the branch by one new commit on top of `main`'s parentless history. */
  forcePush(branch: string, files: WorldFiles): Promise<string>;
  deleteBranch(branch: string): Promise<void>;
}

/** A bare repository and a clone that pushes to it. */
export async function createPushWorld(
  t: Teardown,
  options: Omit<GitWorldOptions, 'bare'> = {},
): Promise<PushWorld> {
  const origin = await createGitWorld(t, {...options, bare: true});
  const path = join(origin.directory, 'clone');
  await runGit(origin.directory, origin.directory, ['clone', '--quiet', origin.path, path]);
  const clone = worldAt({path, directory: origin.directory, bare: false});
  const pushAs = async (branch: string, commit: string, force: boolean) => {
    await clone.git(
      'push',
      '--quiet',
      ...(force ? ['--force'] : []),
      'origin',
      `${commit}:refs/heads/${branch}`,
    );
    return commit;
  };
  return {
    origin,
    clone,
    push: async (branch, files, message) => pushAs(branch, await clone.commit(branch, files, message), false),
    forcePush: async (branch, files) => {
      const scratch = `scratch-${branch}`;
      const commit = await clone.commit(scratch, files, 'rewritten', {from: null});
      await clone.deleteBranch(scratch);
      return pushAs(branch, commit, true);
    },
    deleteBranch: async (branch) => {
      await clone.git('push', '--quiet', 'origin', '--delete', branch);
    },
  };
}

/** Makes all `branches` at once, each with a commit of its own that holds `files(branch)`. */
export async function importBranches(
  world: GitWorld,
  branches: readonly string[],
  files: (branch: string) => WorldFiles,
): Promise<void> {
  const parts = branches.flatMap((branch) =>
    commitCommands({branch, files: files(branch), message: branch, from: null}),
  );
  await world.gitWithInput(Buffer.concat(parts), 'fast-import', '--quiet', '--force');
}

function worldAt({path, directory, bare}: {path: string; directory: string; bare: boolean}): GitWorld {
  const git = (...args: string[]) => runGit(directory, path, args);
  const gitWithInput = (input: string | Uint8Array, ...args: string[]) =>
    runGit(directory, path, args, input);
  const exists = (ref: string) =>
    git('rev-parse', '--verify', '--quiet', `refs/heads/${ref}`).then(Boolean, () => false);
  return {
    path,
    directory,
    environment: isolatedEnvironment(directory),
    git,
    gitWithInput,
    async commit(branch, files, message = 'change', {from} = {}) {
      const parent = (await exists(branch))
        ? branch
        : from === undefined
          ? (await exists('main'))
            ? 'main'
            : null
          : from;
      const commands = commitCommands({branch, files, message, from: parent});
      await gitWithInput(Buffer.concat(commands), 'fast-import', '--quiet');
      const checkedOut = bare ? '' : await git('symbolic-ref', '--quiet', '--short', 'HEAD').catch(() => '');
      if (checkedOut === branch) await git('reset', '--quiet', '--hard');
      return await git('rev-parse', `refs/heads/${branch}`);
    },
    async deleteBranch(branch) {
      await git('update-ref', '-d', `refs/heads/${branch}`);
    },
  };
}

async function importFixture(world: GitWorld, fixture: string): Promise<void> {
  for (const folder of await readdir(fixture)) {
    const branch = folder.replaceAll('__', '/');
    await world.commit(branch, await readFiles(join(fixture, folder)), `${branch} as in the fixture`, {
      from: null,
    });
  }
}

async function readFiles(directory: string): Promise<WorldFiles> {
  const entries = await readdir(directory, {recursive: true, withFileTypes: true});
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  return Object.fromEntries(
    await Promise.all(files.map(async (file) => [relative(directory, file), await readFile(file)] as const)),
  );
}

interface CommitRequest {
  readonly branch: string;
  readonly files: WorldFiles;
  readonly message: string;
  readonly from: string | null;
}

function commitCommands({branch, files, message, from}: CommitRequest): Uint8Array[] {
  const who = 'Test <test@example.org> 1767225600 +0000';
  return [
    Buffer.from(`commit refs/heads/${branch}\nauthor ${who}\ncommitter ${who}\n`),
    data(message),
    Buffer.from(from === null ? '' : `from refs/heads/${from}^0\n`),
    ...Object.entries(files).flatMap(([path, file]) => fileCommands(path, file)),
    Buffer.from('\n'),
  ];
}

function fileCommands(path: string, file: WorldFile): Uint8Array[] {
  if (file === null) return [Buffer.from(`D ${path}\n`)];
  if (typeof file === 'string' || file instanceof Uint8Array)
    return [Buffer.from(`M 100644 inline ${path}\n`), data(file)];
  if (file.mode === 'submodule') return [Buffer.from(`M 160000 ${file.content} ${path}\n`)];
  return [Buffer.from(`M ${modes[file.mode]} inline ${path}\n`), data(file.content)];
}

function data(content: string | Uint8Array): Uint8Array {
  const bytes = Buffer.from(content);
  return Buffer.concat([Buffer.from(`data ${bytes.length}\n`), bytes, Buffer.from('\n')]);
}

function isolatedEnvironment(directory: string): Record<string, string> {
  return {PATH: process.env.PATH ?? '/usr/bin:/bin', HOME: join(directory, 'home')};
}

function runGit(
  directory: string,
  cwd: string,
  args: readonly string[],
  input: string | Uint8Array = '',
): Promise<string> {
  const environment = {
    ...isolatedEnvironment(directory),
    GIT_CONFIG_GLOBAL: '/dev/null',
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_AUTHOR_NAME: 'Test',
    GIT_AUTHOR_EMAIL: 'test@example.org',
    GIT_AUTHOR_DATE: '1767225600 +0000',
    GIT_COMMITTER_NAME: 'Test',
    GIT_COMMITTER_EMAIL: 'test@example.org',
    GIT_COMMITTER_DATE: '1767225600 +0000',
    LC_ALL: 'C',
  };
  return new Promise((resolve, reject) => {
    const child = spawn('git', args, {cwd, env: environment, stdio: ['pipe', 'pipe', 'pipe']});
    const stdout: Uint8Array[] = [];
    const stderr: Uint8Array[] = [];
    child.stdout.on('data', (chunk: Uint8Array) => stdout.push(chunk));
    child.stderr.on('data', (chunk: Uint8Array) => stderr.push(chunk));
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve(Buffer.concat(stdout).toString('utf8').trim());
      else
        reject(
          new Error(`git ${args.join(' ')} exited with ${code}: ${Buffer.concat(stderr).toString('utf8')}`),
        );
    });
    child.stdin.on('error', () => {});
    child.stdin.end(input);
  });
}
