import {createHash, randomBytes} from 'node:crypto';
import {dirname, join} from 'node:path';
import * as z from 'zod';
import {type Deployment, deploymentSchema} from '../../schemas/control.ts';
import {AppError} from '../../schemas/errors.ts';
import {scriptPathSchema} from '../../schemas/exec-api.ts';
import {readTextIfPresent, syncDirectory, writeFileDurably} from '../platform/durable-file.ts';
import {mkdir, readdir, readFile, rename, rm, stat, writeFile} from '../platform/files.ts';
import {createSerialLock} from '../platform/serial-lock.ts';

/** One immutable set of scripts. Every deployment has a directory of its own, so that a running call keeps its files. */
export interface CurrentDeployment {
  readonly digest: string;
  /** Absolute path. */
  readonly directory: string;
  readonly files: readonly ScriptFile[];
}

export interface ScriptFile {
  readonly path: string;
  readonly sha256: string;
}

export interface DeploymentStore {
  /** Null before the first deployment. */
  current(): CurrentDeployment | null;
  /**
   * Makes what `next` gives for the present files the deployment; calls take turns. What `contents` lacks is
   * taken from the present one, by hash. After a crash it is either the old or the new set.
   * Throws BLOBS_MISSING with `details.missing`, or INVALID_BODY.
   */
  deploy(next: (files: readonly ScriptFile[]) => Deployment): Promise<CurrentDeployment>;
  /** One present script, or null. */
  read(path: string): Promise<{bytes: Uint8Array; modified: Date} | null>;
  /** Removes the directories of former deployments except those named. */
  prune(keepDigests: ReadonlySet<string>): Promise<void>;
}

const maxFileBytes = 8 * 1024 * 1024;
const recordSchema = deploymentSchema.pick({digest: true, files: true});
const cacheDirectory = '.cache';

export async function openDeploymentStore(root: string): Promise<DeploymentStore> {
  await mkdir(root, {recursive: true, mode: 0o700});
  const inTurn = createSerialLock();
  const recordPath = join(root, 'current.json');
  const recorded = await readTextIfPresent(recordPath);
  let current = recorded === null ? null : await known(parseRecord(recorded, recordPath));

  function directoryOf(digest: string): string {
    return join(root, digest.slice(0, 16));
  }

  /** Null when the directory was lost: then the next deployment has to send everything. */
  async function known(record: z.infer<typeof recordSchema>): Promise<CurrentDeployment | null> {
    const directory = directoryOf(record.digest);
    const present = await stat(directory).catch(() => null);
    return present === null ? null : {...record, directory};
  }

  async function blob(sha256: string, contents: Deployment['contents']): Promise<Uint8Array | null> {
    const sent = contents[sha256];
    if (sent !== undefined) return verified(Buffer.from(sent, 'base64'), sha256);
    const file = current?.files.find((candidate) => candidate.sha256 === sha256);
    if (current === null || file === undefined) return null;
    const bytes = await readFile(join(current.directory, file.path)).catch(() => null);
    // A script may have been changed behind our back; then its hash is not one we have.
    return bytes !== null && sha256Of(bytes) === sha256 ? bytes : null;
  }

  async function deploy(next: (files: readonly ScriptFile[]) => Deployment): Promise<CurrentDeployment> {
    const {digest, files, contents} = next(current?.files ?? []);
    checkFiles(digest, files);
    const blobs = new Map<string, Uint8Array>();
    const missing: string[] = [];
    for (const sha256 of new Set(files.map((file) => file.sha256))) {
      const bytes = await blob(sha256, contents);
      if (bytes === null) missing.push(sha256);
      else blobs.set(sha256, bytes);
    }
    if (missing.length > 0) {
      throw new AppError(
        'BLOBS_MISSING',
        `${missing.length} contents are not known here. Send them in \`contents\`.`,
        {
          details: {missing},
        },
      );
    }
    if (current?.digest === digest && Object.keys(contents).length === 0) return current;
    const directory = directoryOf(digest);
    const temporary = `${directory}.${randomBytes(6).toString('hex')}.tmp`;
    try {
      await mkdir(temporary, {mode: 0o700});
      for (const {path, sha256} of files) {
        await mkdir(join(temporary, dirname(path)), {recursive: true});
        await writeFile(join(temporary, path), blobs.get(sha256) ?? new Uint8Array(), {flush: true});
      }
      await rm(directory, {recursive: true, force: true});
      await rename(temporary, directory);
    } catch (error) {
      await rm(temporary, {recursive: true, force: true});
      throw error;
    }
    await syncDirectory(root);
    await writeFileDurably(recordPath, JSON.stringify({digest, files}));
    current = {digest, files, directory};
    return current;
  }

  return {
    current: () => current,
    deploy: (next) => inTurn(() => deploy(next)),
    async read(path) {
      if (current === null || !current.files.some((file) => file.path === path)) return null;
      const file = join(current.directory, path);
      return {bytes: await readFile(file), modified: (await stat(file)).mtime};
    },
    async prune(keepDigests) {
      const keep = new Set(
        [...keepDigests, ...(current === null ? [] : [current.digest])].map((digest) => digest.slice(0, 16)),
      );
      for (const name of await readdir(root)) {
        if (name === 'current.json' || name === cacheDirectory || keep.has(name)) continue;
        await rm(join(root, name), {recursive: true, force: true});
      }
    },
  };
}

/** Where wrapped texts are kept between hosts; never part of a deployment. */
export function cacheDirectoryOf(root: string): string {
  return join(root, cacheDirectory);
}

/** SHA-256 over the sorted `path NUL sha256 LF` lines; order is that of the paths' UTF-16 code units. */
export function deploymentDigest(files: readonly ScriptFile[]): string {
  const lines = files.map(({path, sha256}) => `${path}\0${sha256}\n`).sort();
  return createHash('sha256').update(lines.join('')).digest('hex');
}

export function sha256Of(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function checkFiles(digest: string, files: readonly ScriptFile[]): void {
  const paths = new Set(files.map(({path}) => z.parse(scriptPathSchema, path)));
  if (paths.size !== files.length)
    throw new AppError('INVALID_BODY', 'A path occurs twice in `files`. Name every script once.');
  for (const path of paths) {
    const parents = path
      .split('/')
      .slice(0, -1)
      .map((_, index, all) => all.slice(0, index + 1).join('/'));
    const clash = parents.find((parent) => paths.has(parent));
    if (clash !== undefined)
      throw new AppError('INVALID_BODY', `"${clash}" is a file and a directory in \`files\`. Rename one.`);
  }
  const expected = deploymentDigest(files);
  if (digest !== expected) {
    throw new AppError('INVALID_BODY', `\`digest\` does not belong to \`files\`: expected ${expected}.`);
  }
}

function verified(bytes: Uint8Array, sha256: string): Uint8Array {
  if (bytes.byteLength > maxFileBytes) {
    throw new AppError(
      'PAYLOAD_TOO_LARGE',
      `A script is larger than ${maxFileBytes} bytes. Keep data out of .hoody/exec.`,
    );
  }
  if (sha256Of(bytes) !== sha256)
    throw new AppError('INVALID_BODY', `\`contents\` of ${sha256} has another SHA-256.`);
  return bytes;
}

function parseRecord(text: string, path: string): z.infer<typeof recordSchema> {
  try {
    return recordSchema.parse(JSON.parse(text));
  } catch (error) {
    throw new AppError(
      'STATE_UNREADABLE',
      `${path} is damaged. Remove it; the next deployment writes it anew.`,
      {cause: error},
    );
  }
}
