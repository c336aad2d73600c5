import {AppError} from '../../schemas/errors.ts';
import type {DiscoveredRoutes, ResolvedRoute, TestedRoutes} from '../../schemas/exec-management.ts';
import type {CurrentDeployment} from './deployment-store.ts';
import {readMagicComments, redactMagicComments} from './magic-comments.ts';
import {findMountedRoute} from './mounted-routes.ts';
import {isRoutable} from './routes.ts';

type Set = Pick<CurrentDeployment, 'files' | 'mounts'>;

/** Which script would answer a path, and where it was looked for. Throws PATH_EXCLUDED, INVALID_QUERY. */
export function resolveRoute(
  set: Set,
  {
    path,
    hostname = null,
    execId = '1',
  }: {path: string; hostname?: string | null | undefined; execId?: string | undefined},
): ResolvedRoute {
  const wanted = path.startsWith('/') ? path : `/${path}`;
  const route = findMountedRoute(set, wanted.split('?', 1)[0] ?? '/');
  return {
    matched: route !== null,
    path,
    file: route?.file ?? null,
    parameters: Object.fromEntries(
      Object.entries(route?.parameters ?? {}).map(([name, value]) => [
        name,
        typeof value === 'string' ? value : [...value],
      ]),
    ),
    hostname,
    execId,
    triedDirectories: triedDirectories(wanted),
  };
}

/** The same for many paths; one that is refused says so in its place. */
export function testRoutes(set: Set, paths: readonly string[]): TestedRoutes {
  return {
    results: paths.map((path) => {
      try {
        return resolveRoute(set, {path});
      } catch (error) {
        if (!(error instanceof AppError)) throw error;
        return {path, matched: false, code: error.code, message: error.message};
      }
    }),
  };
}

/** Every route below a directory. `textOf` is asked where magic comments are wanted. */
export async function discoverRoutes(
  {files, mounts}: Set,
  {baseDir, textOf}: {baseDir: string; textOf: ((path: string) => Promise<string>) | null},
): Promise<DiscoveredRoutes> {
  const base = baseDir.replace(/^\/+|\/+$/g, '');
  const mounted = new Map(mounts.map(({path, ...mount}) => [path, mount]));
  const own = files
    .map(({path}) => path)
    .filter((path) => isRoutable(path) && !path.startsWith('_hoody/'))
    .map((file) => [file.replace(/\.[jt]s$/, ''), {file, settings: {}}] as const);
  const all = [...new Map([...own, ...mounted])]
    .filter(([route]) => base === '' || route === base || route.startsWith(`${base}/`))
    .toSorted(([a], [b]) => (a < b ? -1 : 1));
  const routes = await Promise.all(
    all.map(async ([route, {file, settings}]) => {
      const segments = route.split('/');
      const shown = segments.at(-1) === 'index' ? segments.slice(0, -1) : segments;
      const parameters = shown.flatMap(
        (segment) => /^\[{1,2}(?:\.\.\.)?(\w+)\]{1,2}$/.exec(segment)?.[1] ?? [],
      );
      const comments = textOf === null ? null : redactMagicComments(readMagicComments(await textOf(file)));
      return {
        path: `/${shown.join('/')}`,
        file,
        dynamic: parameters.length > 0,
        parameters,
        ...(Object.keys(settings).length === 0 ? {} : {settings}),
        ...(comments === null ? {} : {magicComments: comments}),
      };
    }),
  );
  return {baseDir: base, count: routes.length, routes};
}

/** From the path's own directory up to the root. */
function triedDirectories(path: string): string[] {
  const segments = path.split('/').filter((segment) => segment !== '');
  return segments.map((_, index) => `/${segments.slice(0, segments.length - 1 - index).join('/')}`);
}
