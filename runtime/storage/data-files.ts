import {randomBytes} from 'node:crypto';
import {basename, dirname, join} from 'node:path';
import {AppError} from '../../schemas/errors.ts';
import type {FileEntry, FileFacts, FileList, WrittenFile} from '../../schemas/storage-api.ts';
import {kindOf} from '../platform/directories.ts';
import {isErrno} from '../platform/durable-file.ts';
import {readBytes, writeInto, writeStream} from '../platform/file-streams.ts';
import {lstat, mkdir, readdir, rename, rm, rmdir} from '../platform/files.ts';
import {type DataPlace, findPlace} from './data-paths.ts';
import {type LineRange, linesIn} from './line-range.ts';

/** First and last byte, from 0, both included; null for the whole. */
export type ByteRange = {readonly first: number; readonly last: number} | null;

export interface OpenedFile {
  readonly size: number;
  readonly modified: Date;
  /** Changes with size or time of the file. */
  readonly etag: string;
  /** The bytes of the range, read as they are taken. */
  body(range: ByteRange): ReadableStream<Uint8Array>;
  lines(range: LineRange): ReadableStream<Uint8Array>;
}

/** The files of the data directory, which jobs and scripts share. Paths are relative to it. */
export interface DataFiles {
  /** Throws FILE_NOT_FOUND, FILE_NOT_PLAIN, INVALID_QUERY. */
  open(path: string): Promise<OpenedFile | 'directory'>;
  /** Throws FILE_NOT_FOUND, FILE_NOT_PLAIN, INVALID_QUERY. */
  stat(path: string): Promise<FileFacts>;
  /** Links and sockets are shown as `other`. */
  list(path: string, options: {limit: number}): Promise<FileList>;
  /** Whole or not at all; directories above are made. Throws PAYLOAD_TOO_LARGE, FILE_NOT_PLAIN. */
  write(path: string, body: AsyncIterable<Uint8Array>): Promise<WrittenFile>;
  /** Adds to the end; a file that is missing is made. Throws PAYLOAD_TOO_LARGE, FILE_NOT_PLAIN. */
  append(path: string, bytes: Uint8Array): Promise<WrittenFile>;
  /**
   * Writes over what is there from `position` on, and beyond the end. Throws FILE_NOT_FOUND, PAYLOAD_TOO_LARGE,
   * FILE_NOT_PLAIN, and RANGE_NOT_SATISFIABLE where `position` is behind the end.
   */
  overwrite(path: string, bytes: Uint8Array, position: number): Promise<WrittenFile>;
  /** A file, or a directory that is empty or goes with all that is in it. */
  remove(path: string, options: {recursive: boolean}): Promise<void>;
}

/** A body is written as it comes; this bounds what one request can fill of the disk. */
export const maxFileBytes = 1024 * 1024 * 1024;

export function createDataFiles({
  root,
  maxBytes = maxFileBytes,
}: {
  root: string;
  maxBytes?: number;
}): DataFiles {
  async function existing(path: string): Promise<DataPlace> {
    const place = await findPlace(root, path);
    if (place.kind !== 'absent') return place;
    throw new AppError('FILE_NOT_FOUND', `There is no ${path} in the data directory.`);
  }

  async function fileToWrite(path: string): Promise<DataPlace> {
    const place = await findPlace(root, path);
    if (place.kind !== 'directory') return place;
    throw new AppError('FILE_NOT_PLAIN', `${path === '' ? 'The data directory' : path} is a directory.`);
  }

  return {
    async open(path) {
      const place = await existing(path);
      if (place.kind === 'directory') return 'directory';
      const stats = await lstat(place.path);
      const {size, mtime} = stats;
      const body = (range: ByteRange) => readBytes(place.path, range ?? {first: 0, last: size - 1});
      return {size, modified: mtime, etag: tagOf(stats), body, lines: (range) => linesIn(body(null), range)};
    },
    async stat(path) {
      const {path: absolute, kind} = await existing(path);
      const stats = await lstat(absolute);
      const isFile = kind === 'file';
      return {
        name: path.slice(path.lastIndexOf('/') + 1),
        path,
        type: isFile ? 'file' : 'directory',
        size: stats.size,
        modified: stats.mtime.toISOString(),
        permissions: (stats.mode & 0o7777).toString(8).padStart(3, '0'),
        etag: isFile ? tagOf(stats) : null,
      };
    },
    async list(path, {limit}) {
      const place = await existing(path);
      if (place.kind === 'file')
        throw new AppError('FILE_NOT_PLAIN', `${path} is a file. Leave out \`list\` to read it.`);
      const names = (await readdir(place.path)).sort();
      const entries = await Promise.all(
        names.slice(0, limit).map((name) => describe(place.path, path, name)),
      );
      return {
        path,
        count: Math.min(names.length, limit),
        truncated: names.length > limit,
        entries: entries.filter((entry) => entry !== null),
      };
    },
    async append(path, bytes) {
      const place = await fileToWrite(path);
      const isNew = place.kind === 'absent';
      refuseLarge((isNew ? 0 : (await lstat(place.path)).size) + bytes.byteLength, maxBytes);
      await mkdir(dirname(place.path), {recursive: true});
      return {path, size: await writeInto(place.path, bytes, null), created: isNew};
    },
    async overwrite(path, bytes, position) {
      await existing(path);
      const place = await fileToWrite(path);
      const {size} = await lstat(place.path);
      if (position > size)
        throw new AppError(
          'RANGE_NOT_SATISFIABLE',
          `${path} has ${size} bytes; nothing can be written further behind.`,
          {details: {size}},
        );
      refuseLarge(position + bytes.byteLength, maxBytes);
      return {path, size: await writeInto(place.path, bytes, position), created: false};
    },
    async write(path, body) {
      const place = await fileToWrite(path);
      await mkdir(dirname(place.path), {recursive: true});
      const temporary = join(
        dirname(place.path),
        `.${basename(path).slice(0, 200)}.${randomBytes(6).toString('hex')}.tmp`,
      );
      try {
        const size = await writeStream(temporary, limited(body, maxBytes));
        await rename(temporary, place.path);
        return {path, size, created: place.kind === 'absent'};
      } catch (error) {
        await rm(temporary, {force: true});
        throw error;
      }
    },
    async remove(path, {recursive}) {
      if (path === '')
        throw new AppError('FILE_NOT_PLAIN', 'The data directory itself stays. Name what is in it.');
      const place = await existing(path);
      if (place.kind === 'file' || recursive) {
        await rm(place.path, {recursive});
        return;
      }
      try {
        await rmdir(place.path);
      } catch (error) {
        if (!isErrno(error, 'ENOTEMPTY')) throw error;
        throw new AppError(
          'FILE_NOT_PLAIN',
          `${path} is not empty. Send recursive=true to remove all of it.`,
          {
            cause: error,
          },
        );
      }
    },
  };
}

/** Null for what vanished meanwhile. */
async function describe(directory: string, below: string, name: string): Promise<FileEntry | null> {
  const path = join(directory, name);
  const kind = await kindOf(path);
  if (kind === null) return null;
  const {size, mtime} = await lstat(path);
  return {
    name,
    path: below === '' ? name : `${below}/${name}`,
    type: kind === 'file' || kind === 'directory' ? kind : 'other',
    size,
    modified: mtime.toISOString(),
  };
}

async function* limited(body: AsyncIterable<Uint8Array>, maxBytes: number): AsyncGenerator<Uint8Array> {
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.byteLength;
    refuseLarge(bytes, maxBytes);
    yield chunk;
  }
}

function refuseLarge(bytes: number, maxBytes: number): void {
  if (bytes > maxBytes) throw new AppError('PAYLOAD_TOO_LARGE', `The file is larger than ${maxBytes} bytes.`);
}

function tagOf({ino, size, mtimeMs}: {ino: number; size: number; mtimeMs: number}): string {
  return `"${ino.toString(36)}-${size.toString(36)}-${Math.trunc(mtimeMs * 1000).toString(36)}"`;
}
