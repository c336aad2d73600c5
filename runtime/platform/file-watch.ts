import {type FSWatcher, watch} from 'node:fs';
import {isErrno} from './durable-file.ts';

export interface WatchedDirectory {
  readonly path: string;
  /** True: everything below is watched too, also directories that appear later. */
  readonly recursive: boolean;
  /** Which changes matter; `name` is relative to `path`. */
  concerns(name: string): boolean;
}

export interface WatchEvents {
  /**
   * Something changed; several changes of one turn of the event loop are one call. Bun drops an event that
   * repeats the one before it within a millisecond, so the reader must look after the call, not before.
   */
  onChange(): void;
  /** A directory cannot be watched, for example because the system's limit is reached. The others go on. */
  onError(error: Error): void;
}

/** Watches directories until the returned function is called. A directory that does not exist is left out. */
export function watchDirectories(directories: readonly WatchedDirectory[], events: WatchEvents): () => void {
  let isAnnounced = false;
  let isStopped = false;

  function announce(): void {
    if (isAnnounced) return;
    isAnnounced = true;
    setImmediate(() => {
      isAnnounced = false;
      if (!isStopped) events.onChange();
    });
  }

  function report(error: unknown): void {
    if (isErrno(error, 'ENOENT') || isErrno(error, 'ENOTDIR')) return;
    events.onError(error instanceof Error ? error : new Error(String(error)));
  }

  function start({path, recursive, concerns}: WatchedDirectory): FSWatcher | null {
    try {
      const watcher = watch(path, {persistent: false, recursive}, (_event, name) => {
        // Without a name, which Bun gives as undefined, the directory itself is gone.
        if (name == null || concerns(name)) announce();
      });
      return watcher.on('error', report);
    } catch (error) {
      report(error);
      return null;
    }
  }

  const watchers = directories.map(start);
  return () => {
    isStopped = true;
    for (const watcher of watchers) watcher?.close();
  };
}
