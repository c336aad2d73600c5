import {createHash} from 'node:crypto';
import {join, sep} from 'node:path';
import * as z from 'zod';
import {loadFilesThrough} from '../platform/bun-plugin.ts';
import {readTextIfPresent, writeFileDurably} from '../platform/durable-file.ts';
import {readFile} from '../platform/files.ts';
import {positionOf} from '../platform/script-check.ts';
import {bodyExport, type WrappedScript, wrapScript} from './wrap.ts';

/** Counts changes of the wrapping; texts wrapped otherwise are then not found in the cache. */
const wrapVersion = 1;
const wrappedSchema = z.object({text: z.string(), firstLineShift: z.int()});

/** A script that does not parse. Line and column count from 1. */
export class ScriptSyntaxError extends Error {
  readonly path: string;
  readonly position: {readonly line: number; readonly column: number};

  constructor(message: string, path: string, position: {line: number; column: number}) {
    super(message);
    this.name = 'SyntaxError';
    this.path = path;
    this.position = position;
  }
}

export interface ScriptLoader {
  /** The script's module: either `bodyExport` or the author's own exports. */
  load(file: string): Promise<Record<string, unknown>>;
  /** How far line 1 of an absolute path moved to the right. */
  firstLineShift(path: string): number;
}

/** Imports the scripts below `directory` through the wrapping, kept in `cacheDirectory` by the text's hash. */
export function createScriptLoader(directory: string, cacheDirectory: string): ScriptLoader {
  const shifts = new Map<string, number>();
  loadFilesThrough(scriptsBelow(directory), async (path) => {
    const wrapped = await wrappedText(path, await readFile(path, 'utf8'), cacheDirectory);
    shifts.set(path, wrapped.firstLineShift);
    return wrapped.text;
  });
  return {
    load: (file) => import(join(directory, file)),
    firstLineShift: (path) => shifts.get(path) ?? 0,
  };
}

export function bodyOf(module: Record<string, unknown>): unknown {
  return module[bodyExport];
}

async function wrappedText(path: string, text: string, cacheDirectory: string): Promise<WrappedScript> {
  const hash = createHash('sha256')
    .update(path.replace(/^.*\./, '.'))
    .update('\0')
    .update(text)
    .digest('hex');
  const cachePath = join(cacheDirectory, `${hash}-${wrapVersion}.json`);
  const cached = await readTextIfPresent(cachePath);
  if (cached !== null) return wrappedSchema.parse(JSON.parse(cached));
  const wrapped = await wrap(path, text);
  await writeFileDurably(cachePath, JSON.stringify(wrapped));
  return wrapped;
}

async function wrap(path: string, text: string): Promise<WrappedScript> {
  // Loaded here so that a host which finds all its scripts in the cache never pays for the parser.
  const [{parseScript}, {isTopLevelReturn}] = await Promise.all([
    import('../platform/script-parser.ts'),
    import('../platform/script-check.ts'),
  ]);
  const parsed = await parseScript(path, text);
  const [problem] = parsed.errors.filter(({message}) => !isTopLevelReturn(message));
  if (problem !== undefined)
    throw new ScriptSyntaxError(problem.message, path, positionOf(text, problem.start));
  return wrapScript(text, parsed);
}

function scriptsBelow(directory: string): RegExp {
  const prefix = `${directory}${sep}`.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${prefix}(?!(?:.*/)?node_modules/).*\\.[cm]?[jt]sx?$`);
}
