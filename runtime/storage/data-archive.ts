import {randomBytes} from 'node:crypto';
import {dirname, join} from 'node:path';
import {archiveManifestName, type DataManifest} from '../../schemas/data-archive.ts';
import {AppError} from '../../schemas/errors.ts';
import {ByteReader} from '../platform/byte-reader.ts';
import type {Clock} from '../platform/clock.ts';
import {isErrno, syncDirectory} from '../platform/durable-file.ts';
import {
  chmod,
  lchown,
  lstat,
  lutimes,
  mkdir,
  open,
  readdir,
  readlink,
  rename,
  rm,
  symlink,
} from '../platform/files.ts';
import {createHelperProcess} from '../platform/helper-process.ts';
import {ownUserId} from '../platform/system-users.ts';
import {removeTree} from '../platform/tree-removal.ts';
import type {SqliteRequest} from './sqlite-process.ts';
import {readTar, type TarMember, TarProblem, tarEnd, tarFill, tarHead} from './tar.ts';

/** The data directory as one tar archive, and back. */
export interface DataArchive {
  /**
   * Databases are copies as of one moment, also while others write; other files are copied as they are. The last
   * member says what was packed. Ends in an error where it is not complete.
   */
  pack(): AsyncGenerator<Uint8Array>;
  /**
   * Replaces what is in the data directory by what `body` holds. It is unpacked beside first: whatever is wrong with
   * it leaves everything as it was. Nobody may write meanwhile. Throws INVALID_BODY, PAYLOAD_TOO_LARGE.
   */
  replace(body: ReadableStream<Uint8Array>): Promise<void>;
}

/** Names in the data directory that are work under way. */
const workPrefix = '.branchtab-';
const companions = ['-wal', '-shm', '-journal'] as const;
const sqliteMagic = 'SQLite format 3\0';
const chunkBytes = 256 * 1024;
/** A database of many gigabytes takes its time. */
const copyWithinMs = 60 * 60_000;

export function createDataArchive({
  root,
  directory,
  command,
  clock,
}: {
  root: string;
  /** For copies of databases on their way, out of reach of what is packed. */
  directory: string;
  /** Starts this program again. */
  command: readonly string[];
  clock: Clock;
}): DataArchive {
  const leftovers = async () => (await readdir(root)).filter((name) => name.startsWith(workPrefix));

  return {
    async *pack() {
      const scratch = join(directory, `pack-${randomBytes(8).toString('hex')}`);
      await mkdir(scratch, {recursive: true, mode: 0o700});
      const helper = createHelperProcess({
        command: [...command, 'storage-sqlite'],
        directory: scratch,
        clock,
        withinMs: copyWithinMs,
      });
      const packer = new Packer(root, scratch, (request) => helper.ask(request));
      try {
        yield* packer.pack('');
        yield* packer.finish(clock.now());
      } finally {
        helper.stop();
        await rm(scratch, {recursive: true, force: true});
      }
    },
    async replace(body) {
      for (const name of await leftovers()) await removeTree(join(root, name));
      const id = randomBytes(6).toString('hex');
      const unpacked = join(root, `${workPrefix}unpacked-${id}`);
      const replaced = join(root, `${workPrefix}replaced-${id}`);
      const reader = new ByteReader(body);
      let directories: readonly TarMember[];
      try {
        await mkdir(unpacked, {mode: 0o700});
        directories = await unpack(reader, unpacked);
      } catch (error) {
        await reader.cancel();
        await removeTree(unpacked);
        throw refusalOf(error);
      }
      await mkdir(replaced, {mode: 0o700});
      for (const name of await readdir(root))
        if (!name.startsWith(workPrefix)) await moveAway(join(root, name), join(replaced, name));
      for (const name of await readdir(unpacked)) await rename(join(unpacked, name), join(root, name));
      // Deepest first: what came into a directory changed its time, and it may be one to read only.
      for (const member of directories.toReversed()) await setAttributes(join(root, member.path), member);
      await syncDirectory(root);
      for (const name of await leftovers()) await removeTree(join(root, name));
    },
  };
}

/** What is wrong with the archive itself is its sender's to mend. */
function refusalOf(cause: unknown): unknown {
  if (isErrno(cause, 'ENAMETOOLONG'))
    return new AppError('INVALID_BODY', 'A name in the archive is too long. Nothing was changed.', {cause});
  return cause instanceof TarProblem
    ? new AppError('INVALID_BODY', `The archive holds ${cause.message}. Nothing was changed.`, {cause})
    : cause;
}

class Packer {
  readonly #root: string;
  readonly #scratch: string;
  readonly #ask: (request: SqliteRequest) => Promise<unknown>;
  #bytes = 0;
  #files = 0;
  #databases = 0;
  #copied = 0;
  readonly #uncertain: string[] = [];

  constructor(root: string, scratch: string, ask: (request: SqliteRequest) => Promise<unknown>) {
    this.#root = root;
    this.#scratch = scratch;
    this.#ask = ask;
  }

  /** What lies below `path`, a directory; `''` is the root itself. */
  async *pack(path: string): AsyncGenerator<Uint8Array> {
    const names = (await readdir(join(this.#root, path))).sort();
    const whole = new Set<string>();
    for (const name of path === '' ? names.filter((each) => !each.startsWith(workPrefix)) : names) {
      // Their content is in the copy of the database that they stand beside.
      if (companions.some((end) => name.endsWith(end) && whole.has(name.slice(0, -end.length)))) continue;
      const inner = path === '' ? name : `${path}/${name}`;
      try {
        yield* this.#packOne(inner, () => whole.add(name));
      } catch (error) {
        // It went while we looked; whoever removed it wanted that.
        if (!isErrno(error, 'ENOENT')) throw error;
      }
    }
  }

  async *finish(nowMs: number): AsyncGenerator<Uint8Array> {
    const manifest: DataManifest = {
      archive_bytes: this.#bytes,
      files: this.#files,
      databases: this.#databases,
      uncertain: this.#uncertain.slice(0, 20),
    };
    const text = Buffer.from(JSON.stringify(manifest));
    const plain = {uid: 0, gid: 0, mode: 0o600, target: ''};
    const member: TarMember = {
      path: archiveManifestName,
      kind: 'file',
      modifiedMs: nowMs,
      size: text.length,
      ...plain,
    };
    yield* this.#emit(tarHead(member));
    yield* this.#emit(text);
    yield* this.#emit(tarFill(text.length));
    yield tarEnd;
  }

  async *#packOne(path: string, onWhole: () => void): AsyncGenerator<Uint8Array> {
    const stats = await lstat(join(this.#root, path));
    const base = {path, mode: stats.mode & 0o7777, uid: stats.uid, gid: stats.gid, modifiedMs: stats.mtimeMs};
    if (stats.isSymbolicLink()) {
      const target = await readlink(join(this.#root, path));
      yield* this.#emit(tarHead({...base, kind: 'link', size: 0, target}));
    } else if (stats.isDirectory()) {
      yield* this.#emit(tarHead({...base, kind: 'directory', size: 0, target: ''}));
      yield* this.pack(path);
    } else if (stats.isFile()) {
      this.#files += 1;
      const copy = await this.#copyDatabase(path);
      if (copy !== null) onWhole();
      yield* this.#packContent(base, copy ?? join(this.#root, path));
      if (copy !== null) await rm(copy, {force: true});
    }
    // Sockets, fifos and devices have nothing to keep.
  }

  /** Where a copy as of one moment lies; null for what is no database, or one that SQLite cannot read. */
  async #copyDatabase(path: string): Promise<string | null> {
    const file = join(this.#root, path);
    if (!(await startsWithMagic(file))) return null;
    this.#copied += 1;
    const target = join(this.#scratch, String(this.#copied));
    try {
      await this.#ask({kind: 'copy', file, target, keepJournal: true});
      this.#databases += 1;
      return target;
    } catch {
      // Damaged, or encrypted: its bytes are still worth more than nothing, and the manifest names it.
      this.#uncertain.push(path);
      await rm(target, {force: true});
      return null;
    }
  }

  async *#packContent(
    base: Omit<TarMember, 'kind' | 'size' | 'target'>,
    source: string,
  ): AsyncGenerator<Uint8Array> {
    const file = await open(source, 'r');
    try {
      const {size} = await file.stat();
      yield* this.#emit(tarHead({...base, kind: 'file', size, target: ''}));
      let left = size;
      while (left > 0) {
        const {bytesRead, buffer} = await file.read(Buffer.alloc(Math.min(chunkBytes, left)), 0);
        if (bytesRead === 0) break;
        yield* this.#emit(buffer.subarray(0, bytesRead));
        left -= bytesRead;
      }
      // It became shorter meanwhile: the head has said otherwise.
      if (left > 0) this.#uncertain.push(base.path);
      for (; left > 0; left -= Math.min(chunkBytes, left))
        yield* this.#emit(new Uint8Array(Math.min(chunkBytes, left)));
      yield* this.#emit(tarFill(size));
    } finally {
      await file.close();
    }
  }

  *#emit(bytes: Uint8Array): Generator<Uint8Array> {
    this.#bytes += bytes.length;
    if (bytes.length > 0) yield bytes;
  }
}

async function startsWithMagic(path: string): Promise<boolean> {
  const file = await open(path, 'r');
  try {
    const {bytesRead, buffer} = await file.read(Buffer.alloc(sqliteMagic.length), 0, sqliteMagic.length, 0);
    return buffer.toString('latin1', 0, bytesRead) === sqliteMagic;
  } finally {
    await file.close();
  }
}

/** A directory that may not be written is one that may not be moved, either; it is removed soon. */
async function moveAway(from: string, to: string): Promise<void> {
  if ((await lstat(from)).isDirectory()) await chmod(from, 0o700);
  await rename(from, to);
}

/**
 * Into an empty directory. A member needs its directory before it, and none comes twice: no link is ever followed.
 * Answers the directories, whose attributes are still to be set.
 */
async function unpack(reader: ByteReader, target: string): Promise<TarMember[]> {
  const directories = new Map<string, TarMember | null>([['.', null]]);
  const made = new Set<string>();
  let isComplete = false;
  for await (const {member, content} of readTar(reader)) {
    const {path, kind} = member;
    if (isComplete) throw new TarProblem('a member after its manifest');
    if (made.has(path) || !directories.has(dirname(path)))
      throw new TarProblem(`${path} in a place of its own`);
    made.add(path);
    const place = join(target, path);
    if (path === archiveManifestName) {
      isComplete = true;
      for await (const _bytes of content());
    } else if (kind === 'directory') {
      await mkdir(place, {mode: 0o700});
      directories.set(path, member);
    } else if (kind === 'link') {
      await symlink(member.target, place);
      await setAttributes(place, member);
    } else {
      await writeContent(place, content());
      await setAttributes(place, member);
    }
  }
  await reader.end();
  if (!isComplete) throw new TarProblem('no manifest at its end');
  return [...directories.values()].filter((member) => member !== null);
}

async function writeContent(path: string, content: AsyncIterable<Uint8Array>): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    for await (const bytes of content) await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function setAttributes(path: string, {kind, uid, gid, mode, modifiedMs}: TarMember): Promise<void> {
  if (ownUserId() === 0) {
    await lchown(path, uid, gid).catch((error: unknown) => {
      // In a user namespace only those ids exist that are mapped; others had no files here.
      if (!isErrno(error, 'EINVAL') && !isErrno(error, 'EPERM')) throw error;
    });
  }
  if (kind !== 'link') await chmod(path, mode);
  await lutimes(path, modifiedMs / 1000, modifiedMs / 1000);
}
