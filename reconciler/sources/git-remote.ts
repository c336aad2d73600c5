import type {Clock} from '../../runtime/platform/clock.ts';
import {makeDirectory} from '../../runtime/platform/directories.ts';
import {canonicalPath} from '../../runtime/platform/directory-tree.ts';
import {createGit} from '../../runtime/platform/git-process.ts';
import type {Log} from '../../runtime/platform/log.ts';
import {AppError} from '../../schemas/errors.ts';
import {hasCommit} from './branch-history.ts';
import {createUnnameableWarning, listRefs} from './branch-list.ts';
import {type InheritedEnvironment, readingEnvironment} from './git-environment.ts';
import type {GitSource} from './git-local.ts';
import {createGitObjects} from './git-objects.ts';
import {prepareMirror} from './mirror.ts';
import {createOwnerRef, type RefStore} from './owner-ref.ts';
import {defaultBranchOfBare} from './ref-output.ts';
import {checkAccess, type RemoteAccess} from './remote-access.ts';
import {createRemoteGit} from './remote-git.ts';
import {parseRepository, type RemoteAddress} from './repository-address.ts';
import type {RefListing} from './source.ts';

export interface RemoteSourceOptions {
  /** May carry credentials; they are used for the fetch only and shown nowhere. */
  readonly url: string;
  /** Not `address` only where the URL carries no credentials. */
  readonly access: RemoteAccess;
  /** A directory of our own for a bare copy; made when missing. */
  readonly mirrorDirectory: string;
  readonly environment: InheritedEnvironment;
  readonly clock: Clock;
  readonly log: Log;
}

/** Asking for the remote's HEAD makes it send all of its refs, so it is not done in every pass. */
const defaultBranchMaxAgeMs = 10 * 60_000;
/** A fetch that wrote more refs than this left as many files; one packed file is read faster. */
const looseRefsWorthPacking = 500;

/**
 * A repository behind a URL, read through a bare mirror. Does not speak to the remote yet: `list` does.
 * Throws AppError CONFIG_INVALID for a URL that is malformed or of a transport that is not allowed, and for
 * credentials that are not for it.
 */
export async function openRemoteSource(options: RemoteSourceOptions): Promise<GitSource> {
  const {environment, clock, log} = options;
  const address = remoteAddress(options.url);
  checkAccess(address, options.access);
  const repository = address.display;
  await makeDirectory(options.mirrorDirectory, {mode: 0o700});
  const mirrorDirectory = await canonicalPath(options.mirrorDirectory);
  const {access} = options;
  const remote = createRemoteGit({address, access, mirrorDirectory, environment});
  const git = createGit({
    environment: readingEnvironment(environment, {
      safeDirectory: mirrorDirectory,
      gitDirectory: mirrorDirectory,
    }),
  });
  const objects = createGitObjects({git, repository, obtain});
  const ended = new AbortController();
  const warnOfUnnameable = createUnnameableWarning(log, repository);

  let prepared = false;
  /** What the mirror holds, as of the last fetch that succeeded. */
  let mirrored: ReadonlyMap<string, string> | null = null;
  let head: {branch: string | null; readAtMs: number} | null = null;
  /** The claim whose commit the mirror holds. */
  let fetchedOwner: string | null = null;
  let turn: Promise<unknown> = Promise.resolve();
  const wanted = new Set<string>();
  let nextBlobs: Promise<void> | null = null;

  async function update(
    branches: ReadonlyMap<string, string>,
    signal: AbortSignal,
  ): Promise<ReadonlyMap<string, string>> {
    if (mirrored !== null && sameBranches(mirrored, branches)) return mirrored;
    const [id] = branches.values();
    // Without a branch there is nothing to read, and the kind of its object ids is not known either.
    if (id === undefined) return branches;
    if (!prepared) {
      const objectFormat = id.length === 64 ? 'sha256' : 'sha1';
      await prepareMirror(git, {repository, directory: mirrorDirectory, objectFormat, signal});
      prepared = true;
    }
    const before = mirrored?.size ?? 0;
    mirrored = null;
    await remote.fetch({signal});
    // Listed anew: somebody may have pushed between the question and the fetch.
    const refs = await listRefs(git, {repository, patterns: ['refs/heads'], signal});
    warnOfUnnameable(refs.unnameable);
    if (refs.branches.size - before > looseRefsWorthPacking) await git.run(['pack-refs', '--all'], {signal});
    mirrored = refs.branches;
    return mirrored;
  }

  async function defaultBranch(
    branches: ReadonlyMap<string, string>,
    signal: AbortSignal,
  ): Promise<string | null> {
    const isFresh = head !== null && clock.now() - head.readAtMs < defaultBranchMaxAgeMs;
    const exists = head?.branch != null && branches.has(head.branch);
    if (head === null || !isFresh || !exists) {
      head = {branch: (await remote.defaultBranch({signal})) ?? head?.branch ?? null, readAtMs: clock.now()};
    }
    return defaultBranchOfBare(branches, head.branch);
  }

  async function list(signal: AbortSignal): Promise<RefListing> {
    const listedAtMs = clock.now();
    const branches = await update(await remote.listBranches({signal}), signal);
    return {branches, defaultBranch: await defaultBranch(branches, signal), listedAtMs};
  }

  /** Two fetches into one mirror would stand in each other's way. */
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = turn.then(work);
    turn = result.catch(() => {});
    return result;
  }

  /** What many ask for while a fetch goes on comes with the next one. */
  async function obtain(blobs: readonly string[], {signal}: {signal: AbortSignal}): Promise<void> {
    for (const id of blobs) wanted.add(id);
    nextBlobs ??= inTurn(async () => {
      const ids = [...wanted];
      wanted.clear();
      nextBlobs = null;
      await remote.fetchBlobs(ids, {signal: ended.signal});
    });
    try {
      await beforeAbort(nextBlobs, signal);
    } catch {
      signal.throwIfAborted();
      // It may be the blob of another branch that the remote does not give.
      await inTurn(() => remote.fetchBlobs(blobs, {signal: AbortSignal.any([signal, ended.signal])}));
    }
  }

  const ownerRefs: RefStore = {
    fetch: ({signal}) =>
      inTurn(async () => {
        const either = AbortSignal.any([signal, ended.signal]);
        const id = await remote.ownerCommit({signal: either});
        // The kind of its object ids is known once there is a branch, and without one nothing runs.
        if (!prepared) await list(either);
        if (id !== null && id !== fetchedOwner) await remote.fetchOwner({signal: either});
        fetchedOwner = id;
        return id;
      }),
    move: (from, to, {signal}) => inTurn(() => remote.moveOwner(from, to, {signal})),
  };

  return {
    ...objects,
    repository,
    kind: 'remote',
    ownerRef: createOwnerRef({git, repository, refs: ownerRefs, intervalMs: 60_000}),
    identity: repository.replace(/\/+$/, '').replace(/\.git$/, ''),
    gitProcesses: () => remote.started() + git.started(),
    list({signal}) {
      const either = AbortSignal.any([signal, ended.signal]);
      return inTurn(() => list(either));
    },
    obtainPull: ({number, commit}, {signal}) =>
      inTurn(async () => {
        if (!prepared) return false;
        if (await hasCommit(git, commit, {signal})) return true;
        await remote.fetchPull(number, {signal: AbortSignal.any([signal, ended.signal])});
        return hasCommit(git, commit, {signal});
      }),
    async readRef() {
      throw new AppError(
        'INTERNAL_ERROR',
        `${repository}: a single ref is read from local repositories only.`,
      );
    },
    watch: () => () => {},
    async close() {
      ended.abort(new Error('the source was closed'));
      objects.close();
      await turn;
    },
  };
}

function remoteAddress(url: string): RemoteAddress {
  const address = parseRepository(url);
  if (address.kind === 'remote') return address;
  throw new AppError('CONFIG_INVALID', `"${url}" is a path, not a URL. Open it as a local repository.`);
}

/** Others wait for the same work, so it goes on without the one who leaves. */
function beforeAbort(work: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, {once: true});
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

function sameBranches(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean {
  return a.size === b.size && [...a].every(([branch, id]) => b.get(branch) === id);
}
