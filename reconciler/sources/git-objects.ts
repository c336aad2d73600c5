import type {Git} from '../../runtime/platform/git-process.ts';
import {wholeRepository} from '../../schemas/branch-name.ts';
import {AppError} from '../../schemas/errors.ts';
import type {ObjectReply} from './batch-output.ts';
import {
  branchesContainedIn,
  branchesEqualIn,
  branchesNewestFirst,
  findInHistory,
  mergeBase,
} from './branch-history.ts';
import {type FoundDirectory, findDirectories} from './directory-globs.ts';
import {ObjectReader} from './object-reader.ts';
import {isObjectId} from './ref-output.ts';
import {
  type HoodyFile,
  type HoodyTree,
  maxHoodyFileBytes,
  type RepositoryFile,
  type Source,
  type TreeChange,
} from './source.ts';
import {diffTrees, type WalkLimits} from './tree-diff.ts';
import {parseTree, type TreeEntry} from './tree-object.ts';
import {unreadable} from './unreadable.ts';

type FoundReply = Extract<ObjectReply, {found: true}>;

interface Question {
  readonly spec: string;
  readonly maxBytes: number;
  readonly signal: AbortSignal;
}

/** The half of a `Source` that reads contents; the same for a user's repository and for a mirror. */
export interface GitObjects
  extends Pick<
    Source,
    | 'readHoody'
    | 'hasHoody'
    | 'hoodyPaths'
    | 'mergeBase'
    | 'readFile'
    | 'diffTrees'
    | 'prepareBlobs'
    | 'readBlob'
    | 'findInHistory'
    | 'branchesContainedIn'
    | 'branchesEqualIn'
    | 'newestFirst'
  > {
  close(): void;
}

const directory = '.hoody';
const maxTreeBytes = 32 * 1024 * 1024;
/** What the runtime takes, so that a commit with a longer one is refused before anything is applied. */
const maxPathBytes = 3584;
const maxTreeEntries = 1_000_000;
const maxHoodyEntries = 10_000;
const maxHoodyBytes = 64 * 1024 * 1024;
/** Blobs of `.hoody` in flight at once: with the limit of each file this bounds memory. */
const blobsAtOnce = 16;

export interface GitObjectsOptions {
  readonly git: Git;
  readonly repository: string;
  /** Brings in contents of files that are not here; null where everything is here that can be. */
  readonly obtain?: (blobs: readonly string[], options: {signal: AbortSignal}) => Promise<void>;
}

export function createGitObjects({git, repository, obtain}: GitObjectsOptions): GitObjects {
  const contents = new ObjectReader(git, 'contents');
  const sizes = new ObjectReader(git, 'sizes');

  async function ask(reader: ObjectReader, {spec, maxBytes, signal}: Question): Promise<ObjectReply> {
    try {
      return await reader.read(spec, {maxBytes, signal});
    } catch (error) {
      if (signal.aborted) throw signal.reason;
      throw unreadable(
        repository,
        `reading ${spec}`,
        error instanceof Error ? error.message : String(error),
        error,
      );
    }
  }

  /** A missing object is asked for once more in a new process, which knows packs that came since. */
  async function askExisting(reader: ObjectReader, question: Question): Promise<FoundReply> {
    const {generation} = reader;
    const first = await ask(reader, question);
    if (first.found) return first;
    reader.restart(generation);
    const second = await ask(reader, question);
    if (second.found) return second;
    throw unreadable(repository, `reading ${question.spec}`, 'the object is missing');
  }

  function describe(spec: string, signal: AbortSignal): Promise<FoundReply> {
    return askExisting(sizes, {spec, maxBytes: 0, signal});
  }

  async function readTree(id: string, where: string, signal: AbortSignal): Promise<Map<string, TreeEntry>> {
    const reply = await askExisting(contents, {spec: checkedId(id), maxBytes: maxTreeBytes, signal});
    if (reply.type !== 'tree')
      throw unreadable(repository, where, `object ${id} is a ${reply.type}, not a tree`);
    if (reply.bytes === null)
      throw tooLarge(repository, where, `a directory listing of more than ${maxTreeBytes} bytes`);
    try {
      return parseTree(reply.bytes, id.length / 2);
    } catch (error) {
      throw new AppError(
        'CONTENT_REFUSED',
        `${repository}: ${where}: ${error instanceof Error ? error.message : String(error)}. Push a commit without this entry.`,
        {details: {repository}, cause: error},
      );
    }
  }

  function changes(
    from: string | null,
    to: string | null,
    {where, maxEntries, signal}: {where: (path: string) => string; maxEntries: number; signal: AbortSignal},
  ): Promise<TreeChange[]> {
    const limits: WalkLimits = {
      maxEntries,
      maxPathBytes,
      exceeded: (what) => {
        throw tooLarge(repository, where(''), what);
      },
    };
    return diffTrees(from, to, {readTree: (id, path) => readTree(id, where(path), signal), limits});
  }

  async function prepareBlobs(ids: readonly string[], signal: AbortSignal): Promise<void> {
    if (obtain === undefined) return;
    const asked = [...new Set(ids)].map(checkedId);
    const replies = await Promise.all(asked.map((spec) => ask(sizes, {spec, maxBytes: 0, signal})));
    const missing = asked.filter((_id, index) => replies[index]?.found === false);
    if (missing.length > 0) await obtain(missing, {signal});
  }

  async function readContents(id: string, maxBytes: number, signal: AbortSignal): Promise<FoundReply> {
    const question = {spec: checkedId(id), maxBytes, signal};
    if (obtain === undefined) return askExisting(contents, question);
    const reply = await ask(contents, question);
    if (reply.found) return reply;
    await obtain([id], {signal});
    return askExisting(contents, question);
  }

  async function readHoodyFile(path: string, blob: string, signal: AbortSignal): Promise<HoodyFile> {
    const reply = await readContents(blob, maxHoodyFileBytes, signal);
    return {path, blob, bytes: reply.bytes, size: reply.sizeBytes};
  }

  async function hoodyFiles(commit: string, tree: string, signal: AbortSignal): Promise<HoodyFile[]> {
    const where = (path: string) => `commit ${commit}, ${path === '' ? directory : `${directory}/${path}`}`;
    const found = await changes(null, tree, {where, maxEntries: maxHoodyEntries, signal});
    const blobs = found.flatMap((change) => (change.kind === 'write' ? [change.blob] : []));
    await prepareBlobs(blobs, signal);
    const files: HoodyFile[] = [];
    let bytes = 0;
    for (let next = 0; next < found.length; next += blobsAtOnce) {
      const batch = found.slice(next, next + blobsAtOnce).filter((change) => change.kind === 'write');
      for (const {mode, path} of batch) if (mode === 'symlink') throw linkRefused(repository, where(path));
      const read = await Promise.all(
        batch.map(({path, blob}) => readHoodyFile(`${directory}/${path}`, blob, signal)),
      );
      files.push(...read);
      bytes += read.reduce((sum, file) => sum + (file.bytes?.byteLength ?? 0), 0);
      if (bytes > maxHoodyBytes) throw tooLarge(repository, where(''), `more than ${maxHoodyBytes} bytes`);
    }
    return files;
  }

  /** What stands at a path, or why nothing does. */
  async function entryAt(
    commit: string,
    path: string,
    signal: AbortSignal,
  ): Promise<TreeEntry | 'link' | 'absent'> {
    const root = await describe(`${checkedId(commit)}^{tree}`, signal);
    let entry: TreeEntry = {kind: 'directory', id: root.id};
    for (const name of path.split('/')) {
      if (entry.kind !== 'directory') return entry.kind === 'symlink' ? 'link' : 'absent';
      const next = (await readTree(entry.id, `commit ${commit}, ${path}`, signal)).get(name);
      if (next === undefined || next.kind === 'submodule') return 'absent';
      entry = next;
    }
    return entry;
  }

  async function readFile(commit: string, path: string, signal: AbortSignal): Promise<RepositoryFile> {
    const entry = await entryAt(commit, path, signal);
    if (typeof entry === 'string') return {kind: entry};
    if (entry.kind === 'symlink') return {kind: 'link'};
    if (entry.kind === 'directory') return {kind: 'directory'};
    const {bytes, size} = await readHoodyFile(path, entry.id, signal);
    return bytes === null ? {kind: 'too_large', size} : {kind: 'file', bytes};
  }

  async function findHoodyTree(commit: string, signal: AbortSignal): Promise<string | null> {
    const reply = await ask(sizes, {spec: `${checkedId(commit)}:${directory}`, maxBytes: 0, signal});
    if (reply.found) return reply.type === 'tree' ? reply.id : null;
    // A commit that cannot be found is not a commit without the directory.
    await describe(commit, signal);
    return null;
  }

  /** The same as at the root, of a directory. */
  async function readHoodyAt(commit: string, path: string, signal: AbortSignal): Promise<HoodyTree | null> {
    const root = await entryAt(commit, path, signal);
    if (typeof root === 'string' || root.kind !== 'directory') return null;
    const hoody = (await readTree(root.id, `commit ${commit}, ${path}`, signal)).get(directory);
    if (hoody?.kind !== 'directory') return null;
    return {
      commit,
      rootTree: root.id,
      hoodyTree: hoody.id,
      files: await hoodyFiles(commit, hoody.id, signal),
    };
  }

  return {
    async readHoody(commit, {path = wholeRepository, signal}) {
      if (path !== wholeRepository) return readHoodyAt(commit, path, signal);
      const [root, hoodyTree] = await Promise.all([
        describe(`${checkedId(commit)}^{tree}`, signal),
        findHoodyTree(commit, signal),
      ]);
      if (hoodyTree === null) return null;
      return {commit, rootTree: root.id, hoodyTree, files: await hoodyFiles(commit, hoodyTree, signal)};
    },
    async hasHoody(commits, {signal}) {
      const found = await Promise.all(commits.map((commit) => findHoodyTree(commit, signal)));
      return new Set(commits.filter((_commit, index) => found[index] !== null));
    },
    async hoodyPaths(commit, {globs, signal}) {
      const root = await describe(`${checkedId(commit)}^{tree}`, signal);
      const found = await findDirectories({path: wholeRepository, id: root.id}, globs, {
        entriesOf: ({id, path}: FoundDirectory) => readTree(id, `commit ${commit}, ${path}`, signal),
        holds: directory,
        exceeded: (what) => {
          throw tooLarge(repository, `commit ${commit}`, what);
        },
      });
      return new Map(found.map(({path, id}) => [path, id]));
    },
    mergeBase: (one, other, {signal}) =>
      mergeBase(git, [checkedId(one), checkedId(other)], {repository, signal}),
    readFile: (commit, path, {signal}) => readFile(commit, path, signal),
    diffTrees: (from, to, {signal}) =>
      changes(from, to, {
        where: (path) => `tree ${to}, ${path === '' ? 'root' : path}`,
        maxEntries: maxTreeEntries,
        signal,
      }),
    prepareBlobs: (ids, {signal}) => prepareBlobs(ids, signal),
    async readBlob(id, {maxBytes, signal}) {
      const reply = await readContents(id, maxBytes, signal);
      if (reply.type !== 'blob')
        throw unreadable(repository, `reading ${id}`, `it is a ${reply.type}, not a file`);
      if (reply.bytes === null) {
        throw tooLarge(
          repository,
          `file ${id}`,
          `${reply.sizeBytes} bytes, more than the allowed ${maxBytes}`,
        );
      }
      return reply.bytes;
    },
    newestFirst: ({signal}) => branchesNewestFirst(git, {repository, signal}),
    findInHistory: (tip, id, {signal}) => findInHistory(git, checkedId(tip), id, {repository, signal}),
    branchesContainedIn: (commit, tips, {signal}) =>
      branchesContainedIn(git, checkedId(commit), tips, {repository, signal}),
    branchesEqualIn: (commit, tips, {signal}) =>
      branchesEqualIn(git, checkedId(commit), tips, {repository, signal}),
    close() {
      contents.close();
      sizes.close();
    },
  };
}

function checkedId(id: string): string {
  if (!isObjectId(id))
    throw new AppError('INTERNAL_ERROR', `Not an object id: ${JSON.stringify(id.slice(0, 80))}.`);
  return id;
}

function tooLarge(repository: string, where: string, what: string): AppError {
  return new AppError('PAYLOAD_TOO_LARGE', `${repository}: ${where}: ${what}. Push a smaller one.`, {
    details: {repository},
  });
}

function linkRefused(repository: string, where: string): AppError {
  return new AppError(
    'CONTENT_REFUSED',
    `${repository}: ${where}: is a symbolic link. Check in a plain file; a manifest can name a script elsewhere in the repository.`,
    {details: {repository}},
  );
}
