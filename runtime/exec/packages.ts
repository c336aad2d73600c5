import {createHash, randomBytes} from 'node:crypto';
import {join} from 'node:path';
import {AppError} from '../../schemas/errors.ts';
import {kindOf} from '../platform/directories.ts';
import {isErrno} from '../platform/durable-file.ts';
import {mkdir, readdir, readFile, rename, rm, symlink, writeFile} from '../platform/files.ts';
import {runPackageManager} from '../platform/package-manager.ts';
import {createSerialLock} from '../platform/serial-lock.ts';
import type {ScriptFile} from './deployment-store.ts';

/** The package manager, in the project that a directory is. */
export interface PackageManager {
  /** Where installed packages are kept; a place for projects in the making. */
  readonly directory: string;
  /** Throws DEPENDENCIES_FAILED with `details.output`. */
  run(args: readonly string[], project: string): Promise<void>;
}

export function createPackageManager({
  directory,
  executable,
  environment,
}: {
  directory: string;
  /** Bun, or a single file that has it inside. */
  executable: string;
  environment: () => Readonly<Record<string, string>>;
}): PackageManager {
  return {
    directory,
    async run(args, project) {
      const result = await runPackageManager(args, {
        executable,
        directory: project,
        environment: {...environment(), BUN_INSTALL_CACHE_DIR: join(directory, '.cache')},
        withinMs: installWithinMs,
      });
      if (!result.ok) throw failure(result);
    },
  };
}

/** The npm packages of deployments: what a lock file pins is installed once and shared by all that ship this file. */
export interface Packages {
  /**
   * Installs what the lock file beside the scripts pins and puts it into reach of them. Nothing is done without a
   * lock file. Throws DEPENDENCIES_FAILED with `details.output`.
   */
  prepare(deployment: {directory: string; files: readonly ScriptFile[]}): Promise<void>;
  /** Removes what none of the sets uses. */
  prune(sets: readonly (readonly ScriptFile[])[]): Promise<void>;
}

/** Files that decide what is installed; the first two must be there. */
const manifestName = 'package.json';
export const lockNames = ['bun.lock', 'bun.lockb', 'package-lock.json'] as const;
const settingNames = ['.npmrc', 'bunfig.toml'] as const;

/** Large trees over slow lines; the deployment waits for it. */
const installWithinMs = 9 * 60_000;

export function createPackages({directory, run}: PackageManager): Packages {
  const inTurn = createSerialLock();

  async function install(key: string, source: string, names: readonly string[]): Promise<void> {
    if ((await kindOf(join(directory, key))) === 'directory') return;
    const temporary = join(directory, `${key}.${randomBytes(6).toString('hex')}.tmp`);
    try {
      await mkdir(temporary, {recursive: true, mode: 0o700});
      for (const name of names) await writeFile(join(temporary, name), await readFile(join(source, name)));
      await run(['install', '--frozen-lockfile', '--production'], temporary);
      await mkdir(join(temporary, 'node_modules'), {recursive: true});
      await rename(temporary, join(directory, key));
    } catch (error) {
      await rm(temporary, {recursive: true, force: true});
      throw error;
    }
  }

  return {
    prepare: ({directory: scripts, files}) =>
      inTurn(async () => {
        const involved = involvedFiles(files);
        if (involved === null) return;
        const key = keyOf(involved);
        await install(
          key,
          scripts,
          involved.map(({path}) => path),
        );
        const link = join(scripts, 'node_modules');
        if ((await kindOf(link)) === null) await symlink(join(directory, key, 'node_modules'), link);
      }),
    prune: (sets) =>
      inTurn(async () => {
        const used = new Set(sets.map(involvedFiles).map((files) => (files === null ? null : keyOf(files))));
        for (const name of await namesIn(directory)) {
          if (name !== '.cache' && !used.has(name))
            await rm(join(directory, name), {recursive: true, force: true});
        }
      }),
  };
}

/** Null where nothing is pinned: then nothing is installed. */
function involvedFiles(files: readonly ScriptFile[]): readonly ScriptFile[] | null {
  const find = (name: string) => files.find(({path}) => path === name);
  const manifest = find(manifestName);
  const lock = lockNames.map(find).find((file) => file !== undefined);
  if (manifest === undefined || lock === undefined) return null;
  return [manifest, lock, ...settingNames.flatMap((name) => find(name) ?? [])];
}

function keyOf(files: readonly ScriptFile[]): string {
  const lines = files.map(({path, sha256}) => `${path}\0${sha256}\n`);
  return createHash('sha256').update(lines.join('')).digest('hex').slice(0, 32);
}

function failure({output, timedOut}: {output: string; timedOut: boolean}): AppError {
  const why = timedOut ? `took longer than ${installWithinMs / 60_000} minutes` : 'failed';
  const last = output.split('\n').at(-1) ?? '';
  return new AppError(
    'DEPENDENCIES_FAILED',
    `Installing the packages of .hoody/exec/package.json ${why}${last === '' ? '' : `: ${last}`}. Run \`bun install\` there and commit the lock file.`,
    {details: {output}},
  );
}

async function namesIn(directory: string): Promise<string[]> {
  try {
    return await readdir(directory);
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  }
}
