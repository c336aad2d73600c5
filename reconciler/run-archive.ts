import {join} from 'node:path';
import {isErrno} from '../runtime/platform/durable-file.ts';
import {appendFile, mkdir, readFile, rm} from '../runtime/platform/files.ts';
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
  /** Newest first. Empty for a branch that was never archived. */
  read(key: string): Promise<Run[]>;
  delete(key: string): Promise<void>;
}

const pageSize = '200';

export function openRunArchive({directory}: {directory: string}): RunArchive {
  const pathOf = (key: string) => join(directory, `${key}.jsonl`);

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
      if (run !== null) runs.set(run.id, run);
    }
    return [...runs.values()].sort((a, b) => b.scheduled_at.localeCompare(a.scheduled_at));
  };

  return {
    read,
    async keep({key}, client, users, options) {
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
      await appendFile(pathOf(key), fresh.map((run) => `${JSON.stringify(run)}\n`).join(''), {
        mode: 0o600,
        flush: true,
      });
    },
    delete: (key) => rm(pathOf(key), {force: true}),
  };
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
