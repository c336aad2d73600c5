import {join} from 'node:path';
import {showVariables} from '../platform/call-environment.ts';
import type {CurrentCall} from './call-context.ts';

type Variables = Record<string, string | undefined>;

export interface ScriptEnvironment {
  /** The host's variables with those of the files over them, later files last; null without files. */
  read(files: readonly string[]): Promise<Variables | null>;
}

/** Reads `.env` files below `directory`, and lets each call see its own `process.env`. */
export function createScriptEnvironment(directory: string, current: CurrentCall): ScriptEnvironment {
  const parsed = new Map<string, Promise<Variables>>();
  const own = showVariables(() => current.getStore()?.environment ?? null);

  function parse(file: string): Promise<Variables> {
    const known = parsed.get(file);
    if (known !== undefined) return known;
    const reading = readEnvironmentFile(join(directory, file));
    parsed.set(file, reading);
    return reading;
  }

  return {
    async read(files) {
      if (files.length === 0) return null;
      return Object.assign({}, own, ...(await Promise.all(files.map(parse))));
    },
  };
}

/** What it takes is loaded with the first file: most scripts have none. */
async function readEnvironmentFile(path: string): Promise<Variables> {
  const [{parseEnv}, {readTextIfPresent}] = await Promise.all([
    import('node:util'),
    import('../platform/durable-file.ts'),
  ]);
  return parseEnv((await readTextIfPresent(path)) ?? '');
}
