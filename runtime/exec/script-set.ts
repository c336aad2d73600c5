import type {ScriptRef} from './call.ts';
import type {CompiledScript} from './compiled-script.ts';
import type {CurrentDeployment, ScriptFile} from './deployment-store.ts';
import {createMountedRoutes, type MountedRoute, type MountedRoutes} from './mounted-routes.ts';
import type {ScriptCompiler} from './script-compiler.ts';
import {readScriptOptions, type ScriptOptions} from './script-options.ts';

/** A script that can be run: it parses, and what its comments say is known. */
export interface ReadyScript {
  readonly ref: ScriptRef;
  readonly options: ScriptOptions;
  readonly compiled: CompiledScript;
}

/** What a path leads to, with what its manifest says. */
export interface KnownPath {
  readonly route: MountedRoute;
  readonly script: ReadyScript;
  readonly pre: ReadyScript | null;
  readonly post: ReadyScript | null;
}

/** Most calls go where others went. */
export interface KnownPaths {
  get(path: string): KnownPath | undefined;
  remember(path: string, known: KnownPath): void;
}

/** What is worked out of one deployment, each part when it is first asked for. */
export interface ScriptSet {
  readonly deployment: CurrentDeployment;
  readonly routes: MountedRoutes;
  readonly knownPaths: KnownPaths;
  ready(file: string): Promise<ReadyScript>;
  neighbours(file: string): Neighbours;
}

/** Files that take part in the calls of a script. */
export interface Neighbours {
  /** Those of the script's own directory; null where there is none. */
  readonly pre: string | null;
  readonly post: string | null;
  /** `_default.env` from the top down, then `<script>.env`. */
  readonly environmentFiles: readonly string[];
}

export function createScriptSet(deployment: CurrentDeployment, compiler: ScriptCompiler): ScriptSet {
  const files = new Map(deployment.files.map((file) => [file.path, file]));
  const ready = new Map<string, Promise<ReadyScript>>();
  const neighbours = new Map<string, Neighbours>();
  const routes = createMountedRoutes(deployment);

  async function prepare(file: ScriptFile): Promise<ReadyScript> {
    const compiled = await compiler.compile(deployment.directory, file);
    return {
      ref: {file: file.path, compiled: compiled.text === null ? null : compiler.cachePathOf(file)},
      options: readScriptOptions(compiled.comments),
      // The text is read by the host; here it would only take room.
      compiled: {...compiled, text: null},
    };
  }

  return {
    deployment,
    routes,
    knownPaths: createKnownPaths(),
    ready(path) {
      const known = ready.get(path);
      if (known !== undefined) return known;
      const file = files.get(path);
      if (file === undefined) throw new Error(`${path} is not in the deployment`);
      const preparing = prepare(file);
      ready.set(path, preparing);
      // A failure of the machine is no property of the script; the next call tries again.
      preparing.catch(() => ready.delete(path));
      return preparing;
    },
    neighbours(file) {
      const known = neighbours.get(file);
      if (known !== undefined) return known;
      const found = {
        pre: middleware(file, 'pre'),
        post: middleware(file, 'post'),
        environmentFiles: environmentFiles(file),
      };
      neighbours.set(file, found);
      return found;
    },
  };

  function middleware(file: string, name: 'pre' | 'post'): string | null {
    const directory = directoryOf(file);
    return [`${directory}${name}.ts`, `${directory}${name}.js`].find((path) => files.has(path)) ?? null;
  }

  function environmentFiles(file: string): string[] {
    const parents = directoryOf(file).split('/').slice(0, -1);
    const defaults = ['', ...parents.map((_, index) => `${parents.slice(0, index + 1).join('/')}/`)];
    const candidates = [
      ...defaults.map((directory) => `${directory}_default.env`),
      file.replace(/\.[jt]s$/, '.env'),
    ];
    return candidates.filter((path) => files.has(path));
  }
}

const mostKnownPaths = 500;

function createKnownPaths(): KnownPaths {
  const paths = new Map<string, KnownPath>();
  return {
    get: (path) => paths.get(path),
    remember(path, known) {
      if (paths.size >= mostKnownPaths) paths.clear();
      paths.set(path, known);
    },
  };
}

/** With its slash; empty at the top. */
function directoryOf(file: string): string {
  return file.slice(0, file.lastIndexOf('/') + 1);
}
