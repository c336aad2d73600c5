import {basename, dirname, join, resolve} from 'node:path';
import type {Clock} from '../../runtime/platform/clock.ts';
import {canonicalPath, filesBelow} from '../../runtime/platform/directory-tree.ts';
import {watchDirectories} from '../../runtime/platform/file-watch.ts';
import {createGit, type Git, type GitResult} from '../../runtime/platform/git-process.ts';
import type {Log} from '../../runtime/platform/log.ts';
import {AppError} from '../../schemas/errors.ts';
import {hasCommit} from './branch-history.ts';
import {createUnnameableWarning, listRefs} from './branch-list.ts';
import {type InheritedEnvironment, readingEnvironment} from './git-environment.ts';
import {createGitObjects} from './git-objects.ts';
import {createOwnerRef, localRefStore} from './owner-ref.ts';
import {defaultBranchOfBare, defaultBranchOfWorkTree, isObjectId, type ListedRefs} from './ref-output.ts';
import type {RefListing, Source} from './source.ts';
import {unreadable} from './unreadable.ts';

export interface LocalSourceOptions {
  /** Work tree, a directory inside one, linked work tree or bare repository. */
  readonly path: string;
  readonly environment: InheritedEnvironment;
  readonly clock: Clock;
  readonly log: Log;
}

/** A source that counts the git processes it started. */
export interface GitSource extends Source {
  gitProcesses(): number;
}

/** A repository of this machine, where commits are named by people. */
export interface LocalSource extends GitSource {
  /** The commit that a branch, tag or other name stands for. Throws REVISION_NOT_FOUND. */
  resolve(name: string, options: {signal: AbortSignal}): Promise<string>;
}

interface Place {
  /** What is shown: top of the work tree, or the bare repository itself. */
  readonly repository: string;
  /** Where HEAD is; differs from the common directory in a linked work tree. */
  readonly gitDirectory: string;
  /** Where refs and objects are. */
  readonly commonDirectory: string;
  readonly bare: boolean;
}

/**
 * A repository on this machine, which is only read. Throws AppError REPOSITORY_UNREADABLE when there is none
 * at `path` or it may not be read.
 */
export async function openLocalSource({
  path,
  environment,
  clock,
  log,
}: LocalSourceOptions): Promise<LocalSource> {
  const finder = await openFinder(path, environment);
  const place = await findPlace(finder.git, finder.path);
  const git = createGit({
    environment: readingEnvironment(environment, {
      safeDirectory: finder.path,
      gitDirectory: place.gitDirectory,
    }),
  });
  const objects = createGitObjects({git, repository: place.repository});
  const stops = new Set<() => void>();
  const warnOfUnnameable = createUnnameableWarning(log, place.repository);

  async function run(args: readonly string[], signal: AbortSignal): Promise<GitResult> {
    return await git.run(args, {signal});
  }

  function refsOf(patterns: readonly string[], signal: AbortSignal): Promise<ListedRefs> {
    return listRefs(git, {repository: place.repository, patterns, signal});
  }

  /** Branch that HEAD names although it has no commit yet; null when HEAD is detached. */
  async function unbornHead(signal: AbortSignal): Promise<string | null> {
    const {exitCode, stdout} = await run(['symbolic-ref', '--quiet', 'HEAD'], signal);
    const name = text(stdout);
    return exitCode === 0 && name.startsWith('refs/heads/') ? name.slice('refs/heads/'.length) : null;
  }

  async function detachedHead(signal: AbortSignal): Promise<string | null> {
    const {exitCode, stdout} = await run(
      ['rev-parse', '--verify', '--quiet', '--end-of-options', 'HEAD^{commit}'],
      signal,
    );
    const id = lastLine(stdout);
    return exitCode === 0 && isObjectId(id) ? id : null;
  }

  async function list({signal}: {signal: AbortSignal}): Promise<RefListing> {
    const listedAtMs = clock.now();
    await checkReadable(place);
    const refs = await refsOf(['refs/heads', 'refs/remotes/origin/HEAD'], signal);
    warnOfUnnameable(refs.unnameable);
    const {branches, originHead} = refs;
    const head = refs.head ?? (await unbornHead(signal));
    if (branches.size === 0 && head === null) {
      const commit = await detachedHead(signal);
      if (commit !== null) return {branches: new Map([['HEAD', commit]]), defaultBranch: 'HEAD', listedAtMs};
    }
    const defaultBranch = place.bare
      ? defaultBranchOfBare(branches, head)
      : defaultBranchOfWorkTree(branches, {head, originHead});
    return {branches, defaultBranch, listedAtMs};
  }

  return {
    ...objects,
    repository: place.repository,
    kind: 'local',
    identity: place.commonDirectory,
    ownerRef: createOwnerRef({
      git,
      repository: place.repository,
      refs: localRefStore({git, repository: place.repository}),
      intervalMs: 5000,
    }),
    gitProcesses: () => finder.git.started() + git.started(),
    list,
    async resolve(name, {signal}) {
      const {exitCode, stdout} = await run(
        ['rev-parse', '--verify', '--quiet', '--end-of-options', `${name}^{commit}`],
        signal,
      );
      const id = lastLine(stdout);
      if (exitCode === 0 && isObjectId(id)) return id;
      throw new AppError(
        'REVISION_NOT_FOUND',
        `${place.repository} has no commit ${JSON.stringify(name.slice(0, 120))}; write a branch, a tag or a commit id`,
      );
    },
    obtainPull: ({commit}, {signal}) => hasCommit(git, commit, {signal}),
    async readRef(branch, {signal}) {
      // The name HEAD stands for a detached HEAD, which is no ref below refs/heads.
      if (branch === 'HEAD') return (await list({signal})).branches.get(branch) ?? null;
      // These characters cannot be in a branch name, and for-each-ref would read them as a pattern.
      if (/[*?[\\]/.test(branch)) return null;
      await checkReadable(place);
      return (await refsOf([`refs/heads/${branch}`], signal)).branches.get(branch) ?? null;
    },
    watch(onChange) {
      const stop = watchRefs(place, {onChange, log});
      stops.add(stop);
      return () => {
        stops.delete(stop);
        stop();
      };
    },
    async close() {
      for (const stop of stops) stop();
      stops.clear();
      objects.close();
    },
  };
}

/** Git in `path`, before it is known where the repository's own directory is. */
async function openFinder(
  path: string,
  environment: InheritedEnvironment,
): Promise<{path: string; git: Git}> {
  try {
    const exact = await canonicalPath(path);
    return {
      path: exact,
      git: createGit({environment: readingEnvironment(environment, {safeDirectory: exact})}),
    };
  } catch (error) {
    throw unreadable(path, 'opening it', error instanceof Error ? error.message : String(error), error);
  }
}

async function findPlace(git: Git, path: string): Promise<Place> {
  const question = [
    '--is-bare-repository',
    '--is-inside-work-tree',
    '--absolute-git-dir',
    '--git-common-dir',
    '--show-cdup',
  ];
  const result = await git.run(['-C', path, 'rev-parse', ...question], {
    signal: new AbortController().signal,
  });
  const [bare, insideWorkTree, gitDirectory, commonDirectory, up] = new TextDecoder()
    .decode(result.stdout)
    .split('\n');
  if (result.exitCode !== 0 || gitDirectory === undefined || commonDirectory === undefined) {
    throw unreadable(path, 'opening it', result.stderr || `git exited with ${result.exitCode}`);
  }
  const common = await canonicalPath(resolve(path, commonDirectory));
  return {
    repository: await canonicalPath(
      insideWorkTree === 'true' ? resolve(path, up ?? '') : shownDirectory(common, bare === 'true'),
    ),
    gitDirectory: await canonicalPath(gitDirectory),
    commonDirectory: common,
    bare: bare === 'true',
  };
}

/** For a path inside `.git` the work tree around it is meant. */
function shownDirectory(commonDirectory: string, bare: boolean): string {
  return !bare && basename(commonDirectory) === '.git' ? dirname(commonDirectory) : commonDirectory;
}

/** Git skips directories of refs that it may not open, without a word. */
async function checkReadable({commonDirectory, repository}: Place): Promise<void> {
  try {
    await filesBelow(join(commonDirectory, 'refs', 'heads'));
  } catch (error) {
    throw unreadable(
      repository,
      'listing its branches',
      error instanceof Error ? error.message : String(error),
      error,
    );
  }
}

function watchRefs(place: Place, {onChange, log}: {onChange: () => void; log: Log}): () => void {
  const {commonDirectory, gitDirectory, repository} = place;
  const isRefFile = (name: string) => name === 'HEAD' || name === 'packed-refs';
  let warned = false;
  return watchDirectories(
    [
      {path: commonDirectory, recursive: false, concerns: isRefFile},
      ...(gitDirectory === commonDirectory
        ? []
        : [{path: gitDirectory, recursive: false, concerns: isRefFile}]),
      {
        path: join(commonDirectory, 'refs', 'heads'),
        recursive: true,
        concerns: (name) => !name.endsWith('.lock'),
      },
      {
        path: join(commonDirectory, 'reftable'),
        recursive: false,
        concerns: (name) => !name.endsWith('.lock'),
      },
    ],
    {
      onChange,
      onError(error) {
        if (warned) return;
        warned = true;
        log.warn('refs cannot be watched; changes are found by polling', {repository, error});
      },
    },
  );
}

function text(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes).trim();
}

function lastLine(bytes: Uint8Array): string {
  return text(bytes).split('\n').at(-1) ?? '';
}
