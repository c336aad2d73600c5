import {createHash} from 'node:crypto';
import {join} from 'node:path';
import {type Crontab, parseCrontab, rawText} from '../../schemas/crontab.ts';
import {readTextIfPresent, syncDirectory, writeFileDurably} from '../platform/durable-file.ts';
import {mkdir, readdir, rm, stat} from '../platform/files.ts';
import {type Entry, entriesOf} from './entry.ts';
import {isUserName} from './users.ts';

/** One user's crontab: the text is the data, all else is read from it. */
export interface StoredCrontab {
  readonly user: string;
  readonly text: string;
  readonly crontab: Crontab;
  /** In file order. */
  readonly entries: readonly Entry[];
  /** Quoted, as it stands in an `ETag` header. */
  readonly etag: string;
  /** The same over the text without managed entries. */
  readonly rawEtag: string;
  /** When this text came into force, epoch ms; also stands in for the times that a hand-written managed entry leaves out. */
  readonly changedMs: number;
}

export interface CrontabStore {
  /** Parses `text` without storing or judging it; `crontab.issues` says what is wrong with it. */
  read(user: string, text: string, changedMs: number): StoredCrontab;
  /** An empty crontab where the user has none. */
  get(user: string): StoredCrontab;
  /** Users that have a crontab, and `root`. */
  users(): string[];
  /** Durable before it resolves. One writer per user at a time is the caller's business. */
  write(crontab: StoredCrontab): Promise<void>;
}

const fileSuffix = '.crontab';

export async function openCrontabStore(
  directory: string,
  {nowMs, jitterSeed}: {nowMs: number; jitterSeed: string},
): Promise<CrontabStore> {
  const read = (user: string, text: string, changedMs: number): StoredCrontab => {
    const crontab = parseCrontab(text, {file: 'crontab', managedAllowed: true});
    const entries = entriesOf(user, crontab, jitterSeed);
    return {user, text, crontab, entries, etag: tag(text), rawEtag: rawTag(rawText(crontab)), changedMs};
  };
  await mkdir(directory, {recursive: true, mode: 0o700});
  const crontabs = new Map<string, StoredCrontab>([['root', read('root', '', nowMs)]]);
  for (const file of await readdir(directory)) {
    const user = file.slice(0, -fileSuffix.length);
    if (file.endsWith('.tmp')) await rm(join(directory, file), {force: true});
    if (!file.endsWith(fileSuffix) || !isUserName(user)) continue;
    const text = await readTextIfPresent(join(directory, file));
    if (text === null) continue;
    const {mtimeMs} = await stat(join(directory, file));
    crontabs.set(user, read(user, text, mtimeMs));
  }

  return {
    read,
    get: (user) => crontabs.get(user) ?? read(user, '', nowMs),
    users: () => [...crontabs.keys()],
    async write(crontab) {
      const {user, text} = crontab;
      const path = join(directory, user + fileSuffix);
      if (text === '') {
        await rm(path, {force: true});
        await syncDirectory(directory);
      } else {
        // By the service's clock: after a restart it tells since when the lines have been in force.
        await writeFileDurably(path, text, {modifiedMs: crontab.changedMs});
      }
      if (text === '' && user !== 'root') crontabs.delete(user);
      else crontabs.set(user, crontab);
    },
  };
}

/** Never that of a whole text: who has read a text without entries has not seen those that came since. */
function rawTag(text: string): string {
  return tag(`raw\0${text}`);
}

function tag(text: string): string {
  return `"${createHash('sha256').update(text).digest('hex').slice(0, 32)}"`;
}
