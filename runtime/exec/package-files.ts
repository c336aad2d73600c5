import {randomBytes} from 'node:crypto';
import {builtinModules, isBuiltin} from 'node:module';
import {join} from 'node:path';
import {AppError} from '../../schemas/errors.ts';
import type {
  CheckedDependencies,
  ComparedPackages,
  InitPackage,
  PackageView,
  UpdatePackage,
} from '../../schemas/exec-packages.ts';
import {listNames} from '../platform/directories.ts';
import {readTextIfPresent} from '../platform/durable-file.ts';
import {mkdir, rm, writeFile} from '../platform/files.ts';
import type {ExecEngine} from './management.ts';
import {lockNames, type PackageManager} from './packages.ts';

/** What may be asked of the npm packages of scripts. Changes are written like scripts, and installed by the deployment that follows. */
export interface PackageFiles {
  bundled(): string[];
  check(modules: readonly string[]): Promise<CheckedDependencies>;
  read(): Promise<PackageView>;
  /** Throws SCRIPT_EXISTS unless forced. */
  init(request: InitPackage): Promise<PackageView>;
  /** Adds packages and locks them. Those that are declared already stay as they are unless forced. Throws DEPENDENCIES_FAILED. */
  add(modules: readonly string[], options: {force: boolean}): Promise<PackageView>;
  update(change: UpdatePackage): Promise<PackageView>;
  /** Writes the lock file anew. */
  lock(): Promise<PackageView>;
  /** Replaces ranges by the versions that are installed. */
  pin(modules: readonly string[] | null): Promise<PackageView>;
  compare(): Promise<ComparedPackages>;
}

type PackageJson = Record<string, unknown>;

const manifestName = 'package.json';
const lockName = lockNames[0];
const settingNames = ['.npmrc', 'bunfig.toml'];
const bunModules = ['bun', 'bun:ffi', 'bun:jsc', 'bun:sqlite'];

export function createPackageFiles(
  {store, files}: Pick<ExecEngine, 'store' | 'files'>,
  {directory, run}: PackageManager,
): PackageFiles {
  async function textOf(name: string): Promise<string | null> {
    const file = await store.read(name);
    return file === null ? null : new TextDecoder().decode(file.bytes);
  }

  async function manifest(): Promise<PackageJson | null> {
    const text = await textOf(manifestName);
    return text === null ? null : parseManifest(text);
  }

  /** Names and versions of what is installed. */
  async function installed(): Promise<ReadonlyMap<string, string>> {
    const current = store.current();
    if (current === null) return new Map();
    const modules = join(current.directory, 'node_modules');
    const top = (await listNames(modules)).filter((name) => !name.startsWith('.'));
    const scoped = await Promise.all(
      top.map(async (name) =>
        name.startsWith('@') ? (await listNames(join(modules, name))).map((one) => `${name}/${one}`) : [name],
      ),
    );
    const found = await Promise.all(
      scoped.flat().map(async (name) => {
        const text = await readTextIfPresent(join(modules, name, manifestName));
        const version = text === null ? undefined : parseManifest(text).version;
        return [name, typeof version === 'string' ? version : 'unknown'] as const;
      }),
    );
    return new Map(found.toSorted(([a], [b]) => (a < b ? -1 : 1)));
  }

  async function read(): Promise<PackageView> {
    const packageJson = await manifest();
    const present = new Set(store.current()?.files.map(({path}) => path));
    return {
      packageJson,
      lockFile: lockNames.find((name) => present.has(name)) ?? null,
      installed: Object.fromEntries(await installed()),
    };
  }

  /** Runs the package manager on the project as it would be with this manifest, and keeps what it wrote. */
  async function relock(packageJson: PackageJson, args: readonly string[]): Promise<PackageView> {
    const project = join(directory, `project.${randomBytes(6).toString('hex')}.tmp`);
    await mkdir(project, {recursive: true, mode: 0o700});
    try {
      await writeFile(join(project, manifestName), print(packageJson));
      for (const name of [lockName, ...settingNames]) {
        const file = await store.read(name);
        if (file !== null) await writeFile(join(project, name), file.bytes);
      }
      await run(args, project);
      const [newManifest, newLock] = await Promise.all(
        [manifestName, lockName].map((name) => readTextIfPresent(join(project, name))),
      );
      await files.writeAll(
        [
          {path: manifestName, content: newManifest ?? print(packageJson)},
          ...(newLock == null ? [] : [{path: lockName, content: newLock}]),
        ],
        // Without dependencies there is nothing to lock, and a lock of former ones would be wrong.
        {remove: newLock == null ? [lockName] : []},
      );
      return await read();
    } finally {
      await rm(project, {recursive: true, force: true});
    }
  }

  async function present(): Promise<PackageJson> {
    return (await manifest()) ?? {name: 'scripts', private: true};
  }

  return {
    bundled: () => [...builtinModules.filter((name) => !name.startsWith('_')), ...bunModules].sort(),
    read,
    async check(modules) {
      const known = await installed();
      const checked = modules.map((module) => {
        if (isBuiltin(module) || bunModules.includes(module))
          return {module, source: 'builtin' as const, available: true};
        return {module, source: 'package' as const, available: known.has(packageOf(module))};
      });
      return {
        modules: checked,
        missing: checked.filter(({available}) => !available).map(({module}) => module),
      };
    },
    async init({name, force}) {
      if (!force && (await manifest()) !== null)
        throw new AppError('SCRIPT_EXISTS', 'There is a package.json. Send force: true to begin anew.');
      await files.writeAll([{path: manifestName, content: print({name, private: true, dependencies: {}})}]);
      return read();
    },
    async add(modules, {force}) {
      const packageJson = await present();
      const declared = dependenciesOf(packageJson);
      const wanted = modules.filter((module) => force || !Object.hasOwn(declared, packageOf(module)));
      return wanted.length === 0 ? read() : relock(packageJson, ['add', ...wanted]);
    },
    async update({dependencies, remove}) {
      const packageJson = await present();
      const kept = Object.entries({...dependenciesOf(packageJson), ...dependencies}).filter(
        ([name]) => !remove.includes(name),
      );
      return relock({...packageJson, dependencies: Object.fromEntries(kept)}, ['install']);
    },
    lock: async () => relock(await present(), ['install']),
    async pin(modules) {
      const packageJson = await present();
      const versions = await installed();
      const pinned = Object.entries(dependenciesOf(packageJson)).map(([name, declared]) => [
        name,
        modules === null || modules.includes(name) ? (versions.get(name) ?? declared) : declared,
      ]);
      return relock({...packageJson, dependencies: Object.fromEntries(pinned)}, ['install']);
    },
    async compare() {
      const versions = await installed();
      const dependencies = Object.entries(dependenciesOf(await present())).map(([name, declared]) => ({
        name,
        declared,
        installed: versions.get(name) ?? null,
      }));
      return {inSync: dependencies.every(({installed: version}) => version !== null), dependencies};
    },
  };
}

/** Throws AppError INVALID_JSON. */
function parseManifest(text: string): PackageJson {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null && !Array.isArray(value)) return {...value};
  } catch {
    // Told below, as for JSON of another kind.
  }
  throw new AppError('INVALID_JSON', 'package.json is not a JSON object. Correct it.');
}

function dependenciesOf({dependencies}: PackageJson): Record<string, string> {
  if (typeof dependencies !== 'object' || dependencies === null) return {};
  return Object.fromEntries(
    Object.entries(dependencies).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  );
}

function print(packageJson: PackageJson): string {
  return `${JSON.stringify(packageJson, null, 2)}\n`;
}

/** `@scope/name@1.2.3` and `@scope/name/part` are of the package `@scope/name`. */
function packageOf(module: string): string {
  return /^(?:@[^/@]+\/)?[^/@]+/.exec(module)?.[0] ?? module;
}
