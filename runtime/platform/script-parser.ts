import {resolve} from 'node:path';
import type {Program} from 'oxc-parser';

export interface ParsedScript {
  readonly program: Program;
  readonly errors: readonly {readonly message: string; readonly start: number}[];
}

/**
 * Parses TypeScript or JavaScript as a module. Offsets count UTF-16 code units. The native parser is loaded
 * at the first call, since it costs a process some 6 MB.
 */
export async function parseScript(path: string, text: string): Promise<ParsedScript> {
  const {parseSync} = await loadParser();
  const {program, errors} = parseSync(path, text, {sourceType: 'module', lang: languageOf(path)});
  return {
    program,
    errors: errors.map(({message, labels}) => ({message, start: labels[0]?.start ?? 0})),
  };
}

function languageOf(path: string): 'ts' | 'tsx' | 'js' | 'jsx' {
  const extension = /\.[cm]?([jt]sx?)$/.exec(path)?.[1];
  return extension === 'tsx' || extension === 'jsx' || extension === 'js' ? extension : 'ts';
}

async function loadParser(): Promise<typeof import('oxc-parser')> {
  const binding = await bundledBinding();
  if (binding === null) return import('oxc-parser');
  // The parser's own loader looks only beside its package, which a bundle does not have.
  process.env.NAPI_RS_NATIVE_LIBRARY_PATH = resolve(import.meta.dir, binding);
  try {
    return await import('oxc-parser');
  } finally {
    delete process.env.NAPI_RS_NATIVE_LIBRARY_PATH;
  }
}

/** Null when run from source, where the specifier does not exist and the package's own loader works. */
async function bundledBinding(): Promise<string | null> {
  try {
    const {default: path} = await import('branchtab:parser-binding', {with: {type: 'file'}});
    return path;
  } catch {
    return null;
  }
}
