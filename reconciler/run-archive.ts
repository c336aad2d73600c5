import {join} from 'node:path';
import * as z from 'zod';
import type {Clock} from '../runtime/platform/clock.ts';
import {listNames} from '../runtime/platform/directories.ts';
import {isErrno, writeFileDurably} from '../runtime/platform/durable-file.ts';
import {appendFile, mkdir, readFile, rm} from '../runtime/platform/files.ts';
import {parseTimestamp} from '../schemas/crontab/managed.ts';
import {AppError} from '../schemas/errors.ts';
import {type Run, runSchema} from '../schemas/run.ts';
import {isBranchKey} from './branch-key.ts';
import type {BranchRecord} from './branch-record.ts';
import type {RequestOptions, RuntimeClient} from './runtime-client.ts';

/** Run records that outlive their container: one file of JSON lines for each branch. */
export interface RunArchive {
  /** Copies the runtime's records of these users; records that are there already are not doubled. */
  keep(
    record: BranchRecord,
    client: RuntimeClient,
    users: readonly string[],
    options: RequestOptions,
  ): Promise<void>;
  /** Newest first, none older than 90 days. Empty for a branch that was never archived. */
  read(key: string): Promise<Run[]>;
  /** Keys of the branches of this name that have records here. */
  keysOf(branch: string): Promise<string[]>;
  /** Removes what is older than 90 days. */
  prune(): Promise<void>;
  delete(key: string): Promise<void>;
}

const pageSize = '200';
const dayMs = 24 * 60 * 60_000;
const keptMs = 90 * dayMs;

const identitySchema = z.object({repository: z.string(), path: z.string(), branch: z.string()});

/** `<key>.jsonl` holds the records of a branch, `<key>.branch.json` who it was. */
export function openRunArchive({directory, clock}: {directory: string; clock: Clock}): RunArchive {
  const pathOf = (key: string) => join(directory, `${key}.jsonl`);
  const identityPathOf = (key: string) => join(directory, `${key}${identitySuffix}`);
  const isKept = ({scheduled_at}: Run) => Date.parse(scheduled_at) >= clock.now() - keptMs;

  const read = async (key: string): Promise<Run[]> => {
    // People ask by name too; only a key is the name of a file.
    if (!isBranchKey(key)) return [];
    const text = await readFile(pathOf(key), 'utf8').catch((error: unknown) => {
      if (isErrno(error, 'ENOENT')) return '';
      throw error;
    });
    const runs = new Map<string, Run>();
    for (const line of text.split('\n')) {
      const run = parseRun(line);
      if (run !== null && isKept(run)) runs.set(run.id, run);
    }
    return [...runs.values()].sort((a, b) => b.scheduled_at.localeCompare(a.scheduled_at));
  };

  const pruneOne = async (key: string): Promise<void> => {
    const kept = await read(key);
    if (kept.length === 0) {
      await rm(pathOf(key), {force: true});
      await rm(identityPathOf(key), {force: true});
      return;
    }
    const lines = (await readFile(pathOf(key), 'utf8')).split('\n').filter((line) => line !== '');
    if (lines.length > kept.length)
      await writeFileDurably(pathOf(key), kept.toReversed().map(lineOf).join(''));
  };

  return {
    read,
    async keysOf(branch) {
      const keys: string[] = [];
      for (const name of await listNames(directory)) {
        const key = name.slice(0, -identitySuffix.length);
        if (name.endsWith(identitySuffix) && (await readBranch(join(directory, name))) === branch)
          keys.push(key);
      }
      return keys.sort();
    },
    async prune() {
      for (const name of await listNames(directory))
        if (name.endsWith('.jsonl')) await pruneOne(name.slice(0, -'.jsonl'.length));
    },
    async keep({key, repository, path, branch}, client, users, options) {
      const known = new Set((await read(key)).map((run) => run.id));
      const fresh: Run[] = [];
      for (const user of users) {
        let cursor: string | null = null;
        do {
          const page = await client.runs(
            user,
            {limit: pageSize, ...(cursor === null ? {} : {cursor})},
            options,
          );
          fresh.push(...page.items.filter((run) => !known.has(run.id)));
          cursor = page.next_cursor;
        } while (cursor !== null);
      }
      if (fresh.length === 0) return;
      await mkdir(directory, {recursive: true, mode: 0o700});
      await writeFileDurably(identityPathOf(key), JSON.stringify({repository, path, branch}));
      await appendFile(pathOf(key), fresh.map(lineOf).join(''), {
        mode: 0o600,
        flush: true,
      });
    },
    async delete(key) {
      await rm(pathOf(key), {force: true});
      await rm(identityPathOf(key), {force: true});
    },
  };
}

const identitySuffix = '.branch.json';

/** Null where it cannot be read: the records are still found by their key. */
async function readBranch(path: string): Promise<string | null> {
  try {
    return identitySchema.parse(JSON.parse(await readFile(path, 'utf8'))).branch;
  } catch {
    // See above.
    return null;
  }
}

function lineOf(run: Run): string {
  return `${JSON.stringify(run)}\n`;
}

/** A line torn by a crash is worth less than the ones around it: it is passed over. */
function parseRun(line: string): Run | null {
  if (line === '') return null;
  try {
    return runSchema.parse(JSON.parse(line));
  } catch {
    // See above.
    return null;
  }
}

/** What is kept of a branch that is gone, by its key or its name; null where nothing is. Throws BRANCH_AMBIGUOUS. */
export async function findArchived(archive: RunArchive, keyOrName: string): Promise<Run[] | null> {
  const byKey = await archive.read(keyOrName);
  if (byKey.length > 0) return byKey;
  const [key, ...others] = await archive.keysOf(keyOrName);
  if (key === undefined) return null;
  if (others.length === 0) return archive.read(key);
  throw new AppError(
    'BRANCH_AMBIGUOUS',
    `More than one repository had a branch ${JSON.stringify(keyOrName)}; use one of the keys ${[key, ...others].join(', ')}`,
  );
}

/** A container that was made anew knows nothing of what ran before: the records of the former one come after its own. */
export function withFormer(
  present: readonly Run[],
  former: readonly Run[],
  query: Readonly<Record<string, string>>,
): {items: Run[]; next_cursor: null} {
  const known = new Set(present.map(({id}) => id));
  const limit = limitOf(query);
  const older = filterRuns(
    former.filter(({id}) => !known.has(id)),
    query,
  );
  return {items: [...present, ...older].slice(0, limit), next_cursor: null};
}

/** The query of the runs of a container, answered from records that are kept. Throws INVALID_QUERY. */
export function filterRuns(runs: readonly Run[], query: Readonly<Record<string, string>>): Run[] {
  const {entry, status, user, since, until} = query;
  const [sinceMs, untilMs] = [instantOf('since', since), instantOf('until', until)];
  const atMs = ({scheduled_at}: Run) => Date.parse(scheduled_at);
  return runs
    .filter((run) => entry === undefined || run.entry_id.startsWith(entry) || run.entry_name === entry)
    .filter((run) => status === undefined || run.status === status)
    .filter((run) => user === undefined || run.user === user)
    .filter((run) => sinceMs === null || atMs(run) >= sinceMs)
    .filter((run) => untilMs === null || atMs(run) < untilMs)
    .slice(0, limitOf(query));
}

function instantOf(name: string, text: string | undefined): number | null {
  const atMs = text === undefined ? null : parseTimestamp(text);
  if (text === undefined || atMs !== null) return atMs;
  throw new AppError(
    'INVALID_QUERY',
    `${name} is not RFC 3339; write, for example, \`2026-05-22T09:00:00Z\`.`,
  );
}

function limitOf({limit}: Readonly<Record<string, string>>): number {
  return limit === undefined ? 50 : Number(limit);
}
