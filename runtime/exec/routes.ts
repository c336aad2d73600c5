import {AppError} from '../../schemas/errors.ts';

export interface Route {
  /** Path of the script's file below the scripts directory. */
  readonly file: string;
  /** `[id]` gives a string, `[...slug]` the list of segments. */
  readonly parameters: Readonly<Record<string, string | readonly string[]>>;
}

export interface RouteTable {
  /**
   * Finds the script for a request path, still percent-encoded. An encoded slash parts segments like a plain
   * one. `/scripts/x/run` and `/scripts/x` also name script `x`, unless a file has that very path.
   * Null when no script matches; AppError PATH_EXCLUDED for reserved segments, INVALID_QUERY for bad encoding.
   */
  find(path: string): Route | null;
}

const reserved = new Set(['node_modules', '.git', '.hoody-cache', '_sdk', '_hoody']);

/** One step of the paths: what may follow, in the order in which it is tried. */
interface Place {
  readonly fixed: Map<string, Place>;
  /** `[name]`, by name: two scripts may call the same segment differently. */
  readonly dynamic: Map<string, Place>;
  /** The script that ends here. */
  file: string | null;
  /** `[...name]` and `[[...name]]` after this place. */
  catchAll: CatchAll | null;
  optionalCatchAll: CatchAll | null;
}

interface CatchAll {
  readonly name: string;
  readonly file: string;
}

/** Built once for a set of scripts; a look costs as much as the path is long, however many scripts there are. */
export function createRouteTable(files: readonly string[]): RouteTable {
  const root = createPlace();
  for (const file of files) if (routable.test(file)) add(root, file);
  return {
    find(path) {
      const segments = decodePath(path);
      for (const candidate of aliases(segments)) {
        const route = follow(root, candidate, 0);
        if (route !== null) return route;
      }
      return null;
    },
  };
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

function createPlace(): Place {
  return {fixed: new Map(), dynamic: new Map(), file: null, catchAll: null, optionalCatchAll: null};
}

function add(root: Place, file: string): void {
  const names = file.replace(/\.[jt]s$/, '').split('/');
  const segments = names.at(-1) === 'index' ? names.slice(0, -1) : names;
  let place = root;
  for (const [index, segment] of segments.entries()) {
    const [, many, rest] = /^(\[\[|\[)\.\.\.([A-Za-z0-9_]+)\]\]?$/.exec(segment) ?? [];
    if (rest !== undefined && index === segments.length - 1) {
      const kind = many === '[[' ? 'optionalCatchAll' : 'catchAll';
      place[kind] = preferred(place[kind], {name: rest, file});
      return;
    }
    const name = /^\[([A-Za-z0-9_]+)\]$/.exec(segment)?.[1];
    place = name === undefined ? below(place.fixed, segment) : below(place.dynamic, name);
  }
  place.file = preferred(place.file === null ? null : {file: place.file}, {file}).file;
}

function below(places: Map<string, Place>, name: string): Place {
  const known = places.get(name) ?? createPlace();
  places.set(name, known);
  return known;
}

/** `.ts` before `.js`, a plain file before `index`, then by name: never by the order of the files. */
function preferred<T extends {readonly file: string}>(former: T | null, next: T): T {
  if (former === null) return next;
  const rank = ({file}: T) =>
    `${file.endsWith('.ts') ? 0 : 1}${/(?:^|\/)index\.[jt]s$/.test(file) ? 1 : 0}${file}`;
  return rank(former) <= rank(next) ? former : next;
}

/** Static before dynamic before catch-all, decided at the first segment that differs. */
function follow(place: Place, wanted: readonly string[], index: number): Route | null {
  const segment = wanted[index];
  if (segment === undefined) {
    if (place.file !== null) return {file: place.file, parameters: {}};
    return ending(place.optionalCatchAll, []);
  }
  const fixed = place.fixed.get(segment);
  const straight = fixed === undefined ? null : follow(fixed, wanted, index + 1);
  if (straight !== null) return straight;
  for (const [name, next] of place.dynamic) {
    const route = follow(next, wanted, index + 1);
    if (route !== null) return {file: route.file, parameters: {[name]: segment, ...route.parameters}};
  }
  const rest = wanted.slice(index);
  return ending(place.catchAll, rest) ?? ending(place.optionalCatchAll, rest);
}

function ending(catchAll: CatchAll | null, rest: readonly string[]): Route | null {
  return catchAll === null ? null : {file: catchAll.file, parameters: {[catchAll.name]: rest}};
}

function aliases(segments: readonly string[]): readonly (readonly string[])[] {
  if (segments[0] !== 'scripts') return [segments];
  const bare = segments.slice(1);
  return bare.at(-1) === 'run' ? [segments, bare, bare.slice(0, -1)] : [segments, bare];
}

/** The segments of a percent-encoded path. Throws PATH_EXCLUDED, INVALID_QUERY. */
export function decodePath(path: string): readonly string[] {
  const segments = decode(path)
    .split('/')
    .filter((segment) => segment !== '');
  refuseReserved(segments);
  return segments;
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
