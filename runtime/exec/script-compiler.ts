import {join} from 'node:path';
import {AppError} from '../../schemas/errors.ts';
import {type Child, startChild} from '../platform/child-process.ts';
import type {Clock} from '../platform/clock.ts';
import {readTextIfPresent} from '../platform/durable-file.ts';
import {mkdir, readdir, rm} from '../platform/files.ts';
import {
  type CompiledScript,
  createCompiledScriptSchema,
  createCompileReplySchema,
} from './compiled-script.ts';
import type {ScriptFile} from './deployment-store.ts';

export interface ScriptCompiler {
  /** Where the result of `compile` lies. */
  cachePathOf(file: ScriptFile): string;
  /** Reads the script from the cache, or has it parsed. `directory` is the deployment's. */
  compile(directory: string, file: ScriptFile): Promise<CompiledScript>;
  /** Removes from the cache what belongs to none of the files. */
  prune(files: readonly ScriptFile[]): Promise<void>;
  stop(): void;
}

/** Counts changes of the wrapping; texts wrapped otherwise are then not found in the cache. */
const wrapVersion = 3;
const idleMs = 10_000;

interface Waiting {
  readonly path: string;
  readonly cachePath: string;
  readonly done: PromiseWithResolvers<void>;
}

/** `command` starts this program again. The process that parses is started when it is needed, and ends when idle. */
export async function openScriptCompiler({
  cacheDirectory,
  command,
  environment,
  clock,
}: {
  cacheDirectory: string;
  command: readonly string[];
  environment: () => Readonly<Record<string, string>>;
  clock: Clock;
}): Promise<ScriptCompiler> {
  await mkdir(cacheDirectory, {recursive: true});
  /** In the order in which they were sent: the first is the one that is being parsed. */
  const waiting = new Map<number, Waiting>();
  const pending = new Map<string, Promise<void>>();
  let child: Child | null = null;
  let idle = new AbortController();
  let lastId = 0;

  function start(): Child {
    const replySchema = createCompileReplySchema();
    const started = startChild({
      command: [...command, 'script-compiler'],
      environment: environment(),
      directory: cacheDirectory,
      onMessage(message) {
        const {id, error} = replySchema.parse(message);
        const done = waiting.get(id)?.done;
        waiting.delete(id);
        if (error === null) done?.resolve();
        else done?.reject(new AppError('BACKEND_ERROR', `A script could not be compiled: ${error}`));
        if (waiting.size === 0) endWhenIdle();
      },
    });
    void started.exited.then(() => {
      if (child !== started) return;
      child = null;
      const [guilty, ...others] = [...waiting.values()];
      waiting.clear();
      guilty?.done.reject(new ParserDied());
      for (const other of others) send(other);
    });
    return started;
  }

  function send(request: Waiting): void {
    idle.abort();
    child ??= start();
    lastId += 1;
    waiting.set(lastId, request);
    child.send({id: lastId, path: request.path, cachePath: request.cachePath});
  }

  function endWhenIdle(): void {
    idle.abort();
    idle = new AbortController();
    clock.sleep(idleMs, {signal: idle.signal}).then(stop, () => {
      // There is more to parse.
    });
  }

  function stop(): void {
    idle.abort();
    const former = child;
    // Nothing is sent to a process that is about to end.
    child = null;
    former?.kill('SIGKILL');
  }

  function parse(path: string, cachePath: string): Promise<void> {
    const known = pending.get(cachePath);
    if (known !== undefined) return known;
    const done = Promise.withResolvers<void>();
    send({path, cachePath, done});
    const finished = done.promise.finally(() => pending.delete(cachePath));
    pending.set(cachePath, finished);
    return finished;
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
      try {
        await parse(join(directory, file.path), cachePath);
      } catch (error) {
        if (error instanceof ParserDied) return unparsable;
        throw error;
      }
      const compiled = await readCached(cachePath);
      if (compiled === null) throw new AppError('BACKEND_ERROR', `${cachePath} is gone. Call again.`);
      return compiled;
    },
    async prune(files) {
      const known = new Set(files.map(nameOf));
      for (const name of await readdir(cacheDirectory))
        if (!known.has(name)) await rm(join(cacheDirectory, name), {force: true});
    },
    stop,
  };
}

class ParserDied extends Error {}

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
