import {join} from 'node:path';
import * as z from 'zod';
import {readTextIfPresent, writeFileDurably} from '../runtime/platform/durable-file.ts';
import {mkdir, rm} from '../runtime/platform/files.ts';
import type {ControlState} from '../schemas/control-state.ts';
import {keepManaged, removeManaged, replaceManaged} from '../schemas/crontab/edit.ts';
import {type Crontab, parseCrontab, printCrontab, rawText} from '../schemas/crontab.ts';
import type {RequestOptions, RuntimeClient} from './runtime-client.ts';

/** Entries that people made by hand in a container, by user: the lines of their pairs and nothing else. */
type Entries = Readonly<Record<string, string>>;

/** A copy of the entries of containers, which outlives them: `<directory>/<key>.json`. */
export interface EntryMirror {
  /** Reads the entries and keeps them durably where they differ from what is kept. */
  follow(
    key: string,
    client: RuntimeClient,
    crontabs: ControlState['crontabs'],
    options: RequestOptions,
  ): Promise<void>;
  has(key: string): Promise<boolean>;
  /** Adds what is kept of `key` to a container that lacks it. Entries that are there stay. */
  putBack(key: string, client: RuntimeClient, options: RequestOptions): Promise<void>;
  delete(key: string): Promise<void>;
}

const entriesSchema = z.record(z.string(), z.string());

export function openEntryMirror({directory}: {directory: string}): EntryMirror {
  const pathOf = (key: string) => join(directory, `${key}.json`);
  const read = async (key: string): Promise<Entries> => {
    const text = await readTextIfPresent(pathOf(key));
    return text === null ? {} : entriesSchema.parse(JSON.parse(text));
  };

  return {
    async follow(key, client, crontabs, options) {
      const kept = await read(key);
      const entries: Record<string, string> = {};
      for (const [user, {managed}] of Object.entries(crontabs)) {
        const pairs = managed === 0 ? '' : pairsOf(await parsed(client, user, options));
        if (pairs !== '') entries[user] = pairs;
      }
      if (JSON.stringify(entries) === JSON.stringify(kept)) return;
      await mkdir(directory, {recursive: true, mode: 0o700});
      await writeFileDurably(pathOf(key), `${JSON.stringify(entries)}\n`);
    },
    has: async (key) => Object.keys(await read(key)).length > 0,
    async putBack(key, client, options) {
      for (const [user, pairs] of Object.entries(await read(key)))
        await addEntries(client, user, pairs, options);
    },
    delete: (key) => rm(pathOf(key), {force: true}),
  };
}

/**
 * The entries of one container for another one, switched off: whoever copies data wants to see them, and nobody
 * wants to be called twice.
 */
export async function copyEntries(
  from: RuntimeClient,
  to: RuntimeClient,
  crontabs: ControlState['crontabs'],
  options: RequestOptions,
): Promise<void> {
  for (const [user, {managed}] of Object.entries(crontabs)) {
    if (managed === 0) continue;
    await addEntries(to, user, switchedOff(pairsOf(await parsed(from, user, options))), options);
  }
}

/** Tried against the text as it is now; a change in between is an error, and the whole step is taken again. */
async function addEntries(
  client: RuntimeClient,
  user: string,
  pairs: string,
  options: RequestOptions,
): Promise<void> {
  const {text, etag} = await client.crontab(user, options);
  const now = readCrontab(text);
  const present = new Set(now.jobs.flatMap(({managed}) => managed?.id ?? []));
  const missing = readCrontab(removeManaged(readCrontab(pairs), ({id}) => present.has(id)));
  if (missing.jobs.length === 0) return;
  const others = pairsOf(now);
  const whole = keepManaged(readCrontab(others + pairsOf(missing)), rawText(now));
  await client.putWholeCrontab(user, whole, {...options, ifMatch: etag});
}

async function parsed(client: RuntimeClient, user: string, options: RequestOptions): Promise<Crontab> {
  return readCrontab((await client.crontab(user, options)).text);
}

function readCrontab(text: string): Crontab {
  return parseCrontab(text, {file: 'crontab', managedAllowed: true});
}

/** Complete lines: a text that follows does not run into the last one. */
function pairsOf({lines}: Crontab): string {
  const pairs = printCrontab(lines.filter(({managedJob}) => managedJob !== null));
  return pairs === '' || pairs.endsWith('\n') ? pairs : `${pairs}\n`;
}

function switchedOff(pairs: string): string {
  return readCrontab(pairs).jobs.reduce((text, {managed, schedule, command}, index) => {
    if (managed === null) return text;
    return replaceManaged(readCrontab(text), index, {
      metadata: managed,
      schedule: schedule.text,
      command,
      enabled: false,
    });
  }, pairs);
}
