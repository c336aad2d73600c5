import {createHash} from 'node:crypto';
import {join} from 'node:path';
import * as z from 'zod';
import {createDeploymentSchema, type Deployment, type DeploymentInput} from '../../schemas/control.ts';
import {deploymentText} from '../../schemas/deployment-text.ts';
import {AppError} from '../../schemas/errors.ts';
import {scriptPathSchema} from '../../schemas/exec-api.ts';
import type {ScriptMount} from '../../schemas/script-settings.ts';
import {isErrno, readTextIfPresent, syncDirectory, writeFileDurably} from '../platform/durable-file.ts';
import {mkdir, readdir, readFile, rm, stat} from '../platform/files.ts';
import {createSerialLock} from '../platform/serial-lock.ts';
import {openBlobs} from './deployment-blobs.ts';

/** One immutable set of scripts. Every deployment has a directory of its own, so that a running call keeps its files. */
export interface CurrentDeployment extends DeploymentVersion {
  /** Absolute path. */
  readonly directory: string;
  readonly files: readonly ScriptFile[];
  readonly mounts: readonly ScriptMount[];
}

/** A set that was deployed; `commit` is null for one that was written over the API. */
export interface DeploymentVersion {
  readonly digest: string;
  readonly commit: string | null;
  /** RFC 3339. */
  readonly deployed_at: string;
}

export interface ScriptFile {
  readonly path: string;
  readonly sha256: string;
}

export interface DeploymentStore {
  /** Null before the first deployment. */
  current(): CurrentDeployment | null;
  /**
   * Makes what `next` gives for the present set the deployment; calls take turns. What `contents` lacks is taken
   * from the kept versions, by hash. After a crash it is either the old or the new set.
   * Throws BLOBS_MISSING with `details.missing`, or INVALID_BODY.
   */
  deploy(next: (present: CurrentDeployment | null) => DeploymentInput): Promise<CurrentDeployment>;
  /** The kept versions, newest first; the first is the current one. */
  versions(): readonly DeploymentVersion[];
  /** The newest kept version of a commit, by the beginning of its id, or of a digest; null when it is not kept. */
  version(wanted: {commit: string} | {digest: string}): Promise<CurrentDeployment | null>;
  /** One script of a deployment (the present one unless given), or null. */
  read(path: string, deployment?: CurrentDeployment): Promise<{bytes: Uint8Array; modified: Date} | null>;
  /** The files of every kept version. */
  keptSets(): Promise<readonly (readonly ScriptFile[])[]>;
  /** Removes the directories of former deployments except those named and the last `keptVersions`. */
  prune(keepDigests: ReadonlySet<string>): Promise<void>;
}

/** How many deployments stay for rollback and pinned URLs, the present one among them. */
export const keptVersions = 20;

/** Made where a record is read, which is once: it takes more room than the record. */
function createRecordSchema() {
  const deployment = createDeploymentSchema();
  const version = z.object({
    digest: deployment.shape.digest,
    commit: deployment.shape.commit,
    deployed_at: z.string().default(''),
  });
  const set = deployment.pick({digest: true, files: true, mounts: true});
  return set.extend(version.shape).extend({former: z.array(version).default([])});
}
type Record = z.infer<ReturnType<typeof createRecordSchema>>;
const cacheDirectory = '.cache';

export async function openDeploymentStore(
  root: string,
  {
    now = () => 0,
    prepare = async () => {},
  }: {
    now?: () => number;
    /** Called with a new set before it becomes the present one; what it throws keeps the former set. */
    prepare?: (set: {directory: string; files: readonly ScriptFile[]}) => Promise<void>;
  } = {},
): Promise<DeploymentStore> {
  await mkdir(root, {recursive: true, mode: 0o700});
  const inTurn = createSerialLock();
  const recordPath = join(root, 'current.json');
  const recorded = await readTextIfPresent(recordPath);
  const record = recorded === null ? null : parseRecord(recorded, recordPath);
  let current = record === null ? null : await known(record);
  let former: readonly DeploymentVersion[] = record?.former ?? [];

  function directoryOf(digest: string): string {
    return join(root, digest.slice(0, 16));
  }

  /** Null when the directory was lost: then the next deployment has to send everything. */
  async function known({former: _, ...deployment}: Record): Promise<CurrentDeployment | null> {
    const directory = directoryOf(deployment.digest);
    return (await isThere(directory)) ? {...deployment, directory} : null;
  }

  async function kept(version: DeploymentVersion): Promise<CurrentDeployment | null> {
    if (version.digest === current?.digest) return {...current, ...version};
    const path = `${directoryOf(version.digest)}.json`;
    const text = await readTextIfPresent(path);
    if (text === null) return null;
    return known({...parseRecord(text, path), ...version});
  }

  async function deploy(
    next: (present: CurrentDeployment | null) => DeploymentInput,
  ): Promise<CurrentDeployment> {
    const {digest, commit = null, files, mounts = [], contents = {}} = next(current);
    const set = {digest, files, mounts};
    checkSet(set);
    if (current?.digest !== digest || Object.keys(contents).length > 0) {
      const blobs = openBlobs(contents, await keptFiles());
      await blobs.write(directoryOf(digest), files);
      await prepare({directory: directoryOf(digest), files});
      await syncDirectory(root);
    } else if (current.commit === commit) return current;
    await writeFileDurably(`${directoryOf(digest)}.json`, JSON.stringify(set));
    const version = {digest, commit, deployed_at: new Date(now()).toISOString()};
    const before = [...(current === null ? [] : [versionOf(current)]), ...former]
      .filter((known) => !(known.digest === digest && known.commit === commit))
      .slice(0, keptVersions - 1);
    await writeFileDurably(recordPath, JSON.stringify({...set, ...version, former: before}));
    former = before;
    current = {...set, ...version, directory: directoryOf(digest)};
    return current;
  }

  /** Where the contents of the kept versions lie, the newest first. */
  async function keptFiles(): Promise<readonly CurrentDeployment[]> {
    const found = await Promise.all(former.map(kept));
    return [current, ...found].filter((deployment) => deployment !== null);
  }

  const versions = () => [...(current === null ? [] : [versionOf(current)]), ...former];

  return {
    current: () => current,
    deploy: (next) => inTurn(() => deploy(next)),
    versions,
    async version(wanted) {
      const version = versions().find(({digest, commit}) =>
        'digest' in wanted ? digest === wanted.digest : commit?.startsWith(wanted.commit),
      );
      return version === undefined ? null : kept(version);
    },
    keptSets: async () => (await keptFiles()).map(({files}) => files),
    async read(path, deployment = current ?? undefined) {
      if (deployment === undefined || !deployment.files.some((file) => file.path === path)) return null;
      const file = join(deployment.directory, path);
      return {bytes: await readFile(file), modified: (await stat(file)).mtime};
    },
    async prune(keepDigests) {
      const keep = new Set(
        [...keepDigests, ...versions().map(({digest}) => digest)].map((digest) => digest.slice(0, 16)),
      );
      for (const name of await readdir(root)) {
        if (name === 'current.json' || name === cacheDirectory || keep.has(name.replace(/\.json$/, '')))
          continue;
        await rm(join(root, name), {recursive: true, force: true});
      }
    },
  };
}

/** Where wrapped texts are kept between hosts; never part of a deployment. */
export function cacheDirectoryOf(root: string): string {
  return join(root, cacheDirectory);
}

/** The digest that `schemas/control.ts` describes. */
export function deploymentDigest(files: readonly ScriptFile[], mounts: readonly ScriptMount[] = []): string {
  return sha256Of(deploymentText({files: [...files], mounts: [...mounts]}));
}

export function sha256Of(bytes: Uint8Array | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function versionOf({digest, commit, deployed_at}: DeploymentVersion): DeploymentVersion {
  return {digest, commit, deployed_at};
}

async function isThere(directory: string): Promise<boolean> {
  try {
    return (await stat(directory)).isDirectory();
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return false;
    throw error;
  }
}

function checkSet({digest, files, mounts}: Pick<Deployment, 'digest' | 'files' | 'mounts'>): void {
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
  for (const {path, file} of mounts) {
    z.parse(scriptPathSchema, path);
    if (!paths.has(file))
      throw new AppError('INVALID_BODY', `\`mounts\` names "${file}", which is not in \`files\`.`);
  }
  if (new Set(mounts.map(({path}) => path)).size !== mounts.length)
    throw new AppError('INVALID_BODY', 'A path occurs twice in `mounts`. Name every route once.');
  const expected = deploymentDigest(files, mounts);
  if (digest !== expected) {
    throw new AppError('INVALID_BODY', `\`digest\` does not belong to \`files\`: expected ${expected}.`);
  }
}

function parseRecord(text: string, path: string): Record {
  try {
    return createRecordSchema().parse(JSON.parse(text));
  } catch (error) {
    throw new AppError(
      'STATE_UNREADABLE',
      `${path} is damaged. Remove it; the next deployment writes it anew.`,
      {cause: error},
    );
  }
}
