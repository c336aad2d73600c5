import {join} from 'node:path';
import {AppError} from '../../schemas/errors.ts';
import {readTextIfPresent} from '../platform/durable-file.ts';
import {mkdir, readdir, readFile, rename, rm, writeFile} from '../platform/files.ts';
import {type CompiledScript, createCompiledScriptSchema} from './compiled-script.ts';
import type {ScriptFile} from './deployment-store.ts';
import {isUnparsable, type ScriptInspector} from './script-inspector.ts';

/** Has scripts parsed, and keeps what comes of it by the hash of their text. */
export interface ScriptCompiler {
  /** Where the result of `compile` lies. */
  cachePathOf(file: ScriptFile): string;
  /** Reads the script from the cache, or has it parsed. `directory` is the deployment's. */
  compile(directory: string, file: ScriptFile): Promise<CompiledScript>;
  /** Removes from the cache what belongs to none of the files. */
  prune(files: readonly ScriptFile[]): Promise<void>;
}

/** Counts changes of the wrapping; texts wrapped otherwise are then not found in the cache. */
const wrapVersion = 5;

export async function openScriptCompiler({
  cacheDirectory,
  inspector,
}: {
  cacheDirectory: string;
  inspector: Pick<ScriptInspector, 'ask'>;
}): Promise<ScriptCompiler> {
  await mkdir(cacheDirectory, {recursive: true});
  const pending = new Map<string, Promise<CompiledScript>>();

  async function parse(path: string, cachePath: string): Promise<CompiledScript> {
    const text = await readFile(path, 'utf8');
    try {
      const compiled = await inspector.ask('compile', {path, text});
      const temporary = `${cachePath}.tmp`;
      await writeFile(temporary, JSON.stringify(compiled));
      await rename(temporary, cachePath);
      return compiled;
    } catch (error) {
      if (isUnparsable(error)) return unparsable;
      throw new AppError('BACKEND_ERROR', 'A script could not be parsed. Call again.', {cause: error});
    }
  }

  function nameOf({path, sha256}: ScriptFile): string {
    return `${sha256}${path.slice(path.lastIndexOf('.'))}-${wrapVersion}.json`;
  }

  return {
    cachePathOf: (file) => join(cacheDirectory, nameOf(file)),
    async compile(directory, file) {
      const cachePath = join(cacheDirectory, nameOf(file));
      const cached = await readCached(cachePath);
      if (cached !== null) return cached;
      const known = pending.get(cachePath);
      if (known !== undefined) return known;
      const parsing = parse(join(directory, file.path), cachePath).finally(() => pending.delete(cachePath));
      pending.set(cachePath, parsing);
      return parsing;
    },
    async prune(files) {
      const known = new Set(files.map(nameOf));
      for (const name of await readdir(cacheDirectory))
        if (!known.has(name)) await rm(join(cacheDirectory, name), {force: true});
    },
  };
}

/** Such a text is not kept in the cache: another machine may have room for it. */
const unparsable: CompiledScript = {
  text: null,
  firstLineShift: 0,
  comments: [],
  issue: {
    line: 1,
    column: 1,
    code: 'script_unparsable',
    message: 'The parser gave up on this script. It is nested too deeply; split it.',
  },
  warnings: [],
};

/** Null for what is not there or was damaged by a crash. */
async function readCached(path: string): Promise<CompiledScript | null> {
  const text = await readTextIfPresent(path);
  if (text === null) return null;
  try {
    return createCompiledScriptSchema().parse(JSON.parse(text));
  } catch {
    // The cache is not written durably; what cannot be read is made anew.
    return null;
  }
}
