import {existsSync, watch} from 'node:fs';
import {dirname} from 'node:path';

/** Resolves when there is a file at `path`; its directory exists already. */
export function fileAppears(path: string): Promise<void> {
  return new Promise((resolve) => {
    const look = () => {
      if (!existsSync(path)) return;
      watcher.close();
      resolve();
    };
    const watcher = watch(dirname(path), look);
    look();
  });
}
