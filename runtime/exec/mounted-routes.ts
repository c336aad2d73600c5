import type {ScriptMount, ScriptSettings} from '../../schemas/script-settings.ts';
import type {CurrentDeployment} from './deployment-store.ts';
import {findRoute, type Route} from './routes.ts';

export interface MountedRoute extends Route {
  /** What a manifest says of the script; empty without one. */
  readonly settings: ScriptSettings;
}

/** `findRoute` over a deployment's files and over the paths that manifests gave to some of them. */
export function findMountedRoute(
  {files, mounts}: Pick<CurrentDeployment, 'files' | 'mounts'>,
  path: string,
): MountedRoute | null {
  const named = new Map(mounts.map((mount) => [routeFile(mount), mount]));
  const route = findRoute([...new Set([...files.map((file) => file.path), ...named.keys()])], path);
  if (route === null) return null;
  const mount = named.get(route.file);
  return mount === undefined
    ? {...route, settings: {}}
    : {...route, file: mount.file, settings: mount.settings};
}

/** The file name by which a mount takes part in routing: with its file's extension, so that both are one route. */
function routeFile({path, file}: ScriptMount): string {
  return `${path}${/\.[jt]s$/.exec(file)?.[0] ?? '.ts'}`;
}
