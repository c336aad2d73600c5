import type {Clock} from '../platform/clock.ts';
import {createDataArchive, type DataArchive} from './data-archive.ts';
import {createDataFiles, type DataFiles} from './data-files.ts';
import {createDatabases, type Databases} from './databases.ts';

/** The data directory over HTTP: its databases and its files. */
export interface StorageService {
  readonly databases: Databases;
  readonly files: DataFiles;
  readonly archive: DataArchive;
}

/** `root` is the data directory, `directory` a place of our own. `command` starts this program again. */
export function createStorage({
  root,
  directory,
  command,
  clock,
  maxFileBytes,
}: {
  root: string;
  directory: string;
  command: readonly string[];
  clock: Clock;
  maxFileBytes?: number;
}): StorageService {
  return {
    databases: createDatabases({root, directory, command, clock}),
    archive: createDataArchive({root, directory: `${directory}-archive`, command, clock}),
    files: createDataFiles({root, ...(maxFileBytes === undefined ? {} : {maxBytes: maxFileBytes})}),
  };
}
