import {AppError} from '../../schemas/errors.ts';

export interface Route {
  /** Path of the script's file below the scripts directory. */
  readonly file: string;
  /** `[id]` gives a string, `[...slug]` the list of segments. */
  readonly parameters: Readonly<Record<string, string | readonly string[]>>;
}

const reserved = new Set(['node_modules', '.git', '.hoody-cache', '_sdk', '_hoody']);

/**
 * Finds the script for a request path, still percent-encoded. An encoded slash parts segments like a plain
 * one. `/scripts/x/run` and `/scripts/x` also name script `x`, unless a file has that very path.
 * Null when no script matches; AppError PATH_EXCLUDED for reserved segments, INVALID_QUERY for bad encoding.
 */
export function findRoute(files: readonly string[], path: string): Route | null {
  const segments = decode(path)
    .split('/')
    .filter((segment) => segment !== '');
  refuseReserved(segments);
  const scripts = files.filter((file) => routable.test(file)).map(toPattern);
  for (const candidate of aliases(segments)) {
    const [best] = scripts
      .flatMap((script) => match(script, candidate))
      .sort((a, b) => (a.rank < b.rank ? -1 : a.rank > b.rank ? 1 : 0));
    if (best !== undefined) return {file: best.file, parameters: best.parameters};
  }
  return null;
}

/** Throws AppError PATH_EXCLUDED where a segment is one that scripts may not have. */
export function refuseReserved(segments: readonly string[]): void {
  if (segments.some((segment) => reserved.has(segment)))
    throw new AppError('PATH_EXCLUDED', 'Path is excluded from access');
}

/** True for a file that can answer: `.ts` and `.js`, but for `pre`, `post` and declarations. */
export function isRoutable(file: string): boolean {
  return routable.test(file);
}

const routable = /^(?!(?:.*\/)?(?:pre|post)\.[jt]s$)(?!.*\.d\.ts$).*\.[jt]s$/;

interface Pattern {
  readonly file: string;
  readonly segments: readonly string[];
}

function toPattern(file: string): Pattern {
  const segments = file.replace(/\.[jt]s$/, '').split('/');
  return {file, segments: segments.at(-1) === 'index' ? segments.slice(0, -1) : segments};
}

function aliases(segments: readonly string[]): readonly (readonly string[])[] {
  if (segments[0] !== 'scripts') return [segments];
  const bare = segments.slice(1);
  return bare.at(-1) === 'run' ? [segments, bare, bare.slice(0, -1)] : [segments, bare];
}

/** Rank compares segment by segment: static before dynamic before catch-all; `.ts` before `.js`. */
function match({file, segments}: Pattern, wanted: readonly string[]): (Route & {rank: string})[] {
  const parameters: Record<string, string | readonly string[]> = {};
  let rank = '';
  for (const [index, segment] of segments.entries()) {
    const rest = /^\[\[?\.\.\.([A-Za-z0-9_]+)\]\]?$/.exec(segment)?.[1];
    if (rest !== undefined && index === segments.length - 1) {
      const optional = segment.startsWith('[[');
      if (!optional && wanted.length <= index) return [];
      parameters[rest] = wanted.slice(index);
      return [{file, parameters, rank: `${rank}${optional ? 3 : 2}`}];
    }
    const value = wanted[index];
    if (value === undefined) return [];
    const name = /^\[([A-Za-z0-9_]+)\]$/.exec(segment)?.[1];
    if (name === undefined && segment !== value) return [];
    if (name !== undefined) parameters[name] = value;
    rank += name === undefined ? 0 : 1;
  }
  if (wanted.length !== segments.length) return [];
  return [{file, parameters, rank: `${rank}${file.endsWith('.ts') ? '' : '~'}`}];
}

function decode(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch (error) {
    throw new AppError(
      'INVALID_QUERY',
      'The path holds a "%" that is not followed by two hex digits of UTF-8. Write it as %25.',
      {cause: error},
    );
  }
}
