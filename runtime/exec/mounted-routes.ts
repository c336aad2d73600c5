import type {ScriptMount, ScriptSettings} from '../../schemas/script-settings.ts';
import type {CurrentDeployment} from './deployment-store.ts';
import {createRouteTable, type Route} from './routes.ts';

export interface MountedRoute extends Route {
  /** What a manifest says of the script; empty without one. */
  readonly settings: ScriptSettings;
}

type Scripts = Pick<CurrentDeployment, 'files' | 'mounts'>;

export interface MountedRoutes {
  /** As `RouteTable.find`. */
  find(path: string): MountedRoute | null;
}

/** The routes of a deployment's files and of the paths that manifests gave to some of them. */
export function createMountedRoutes({files, mounts}: Scripts): MountedRoutes {
  const named = new Map(mounts.map((mount) => [routeFile(mount), mount]));
  const table = createRouteTable([...new Set([...files.map((file) => file.path), ...named.keys()])]);
  return {
    find(path) {
      const route = table.find(path);
      if (route === null) return null;
      const mount = named.get(route.file);
      return mount === undefined
        ? {...route, settings: {}}
        : {...route, file: mount.file, settings: mount.settings};
    },
  };
}

/** One look in a set of scripts that is not asked again. */
export function findMountedRoute(scripts: Scripts, path: string): MountedRoute | null {
  return createMountedRoutes(scripts).find(path);
}

/** The file name by which a mount takes part in routing: with its file's extension, so that both are one route. */
function routeFile({path, file}: ScriptMount): string {
  return `${path}${/\.[jt]s$/.exec(file)?.[0] ?? '.ts'}`;
}
