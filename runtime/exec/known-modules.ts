import {join, normalize} from 'node:path';
import {kindOf} from '../platform/directories.ts';
import type {DeploymentStore} from './deployment-store.ts';
import type {KnownModules} from './validation.ts';

/** What the present scripts have beside them: each other, and the packages that are installed for them. */
export function knownModules({current}: Pick<DeploymentStore, 'current'>): KnownModules {
  const paths = new Set(current()?.files.map(({path}) => path));
  const directory = current()?.directory;
  return {
    hasFile(specifier, from) {
      const path = normalize(join(from, '..', specifier));
      return ['', '.ts', '.js', '.tsx', '.jsx', '.json', '/index.ts', '/index.js'].some((ending) =>
        paths.has(`${path}${ending}`),
      );
    },
    async hasPackage(name) {
      if (directory === undefined || !/^(?:@[\w-][\w.-]*\/)?[\w-][\w.-]*$/.test(name)) return false;
      return (await kindOf(join(directory, 'node_modules', name, 'package.json'))) === 'file';
    },
  };
}
