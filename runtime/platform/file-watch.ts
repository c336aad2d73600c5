import {type FSWatcher, readdirSync, watch} from 'node:fs';
import {join} from 'node:path';
import {isErrno} from './durable-file.ts';

export interface WatchedDirectory {
  readonly path: string;
  /** True: all directories below are watched too, also those that appear later. */
  readonly recursive: boolean;
  /** Names of entries whose changes matter. */
  concerns(name: string): boolean;
}

export interface WatchEvents {
  /** Something changed; several changes of one turn of the event loop are one call. */
  onChange(): void;
  /** A directory cannot be watched, for example because the system's limit is reached. The others go on. */
  onError(error: Error): void;
}

/** Watches directories until the returned function is called. A directory that does not exist is left out. */
export function watchDirectories(directories: readonly WatchedDirectory[], events: WatchEvents): () => void {
  const watchers = new Map<string, FSWatcher>();
  let announced: NodeJS.Immediate | null = null;
  let closed = false;

  const announce = () => {
    announced ??= setImmediate(() => {
      announced = null;
      events.onChange();
    });
  };

  function forget(path: string): void {
    for (const [watched, watcher] of watchers) {
      if (watched !== path && !watched.startsWith(`${path}/`)) continue;
      watchers.delete(watched);
      watcher.close();
    }
  }

  function add(directory: WatchedDirectory, path: string): void {
    try {
      const watcher = watch(path, {persistent: false}, (_event, name) => onEvent(directory, path, name));
      watcher.on('error', (error) => {
        if (!isGone(error)) events.onError(error);
      });
      watchers.set(path, watcher);
      // The watcher comes first, so that what is made while the directory is read is seen by one of the two.
      if (directory.recursive) for (const child of childDirectories(path)) add(directory, join(path, child));
    } catch (error) {
      if (isGone(error)) return;
      events.onError(error instanceof Error ? error : new Error(String(error)));
    }
  }

  function onEvent(directory: WatchedDirectory, path: string, name: string | null): void {
    if (closed) return;
    if (name !== null && !directory.concerns(name)) return;
    if (directory.recursive) refresh(directory, path, name);
    announce();
  }

  /** A directory removed and made again is another one to the system: its old watcher is deaf. */
  function refresh(directory: WatchedDirectory, path: string, name: string | null): void {
    const present = new Set(childDirectories(path));
    const changed = name === null ? present : [name];
    for (const child of changed) {
      forget(join(path, child));
      if (present.has(child)) add(directory, join(path, child));
    }
  }

  for (const directory of directories) add(directory, directory.path);

  return () => {
    closed = true;
    if (announced !== null) clearImmediate(announced);
    for (const watcher of watchers.values()) watcher.close();
    watchers.clear();
  };
}

function childDirectories(path: string): string[] {
  try {
    return readdirSync(path, {withFileTypes: true})
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch (error) {
    if (isGone(error)) return [];
    throw error;
  }
}

function isGone(error: unknown): boolean {
  return isErrno(error, 'ENOENT') || isErrno(error, 'ENOTDIR');
}
