import {writtenOut} from '../../schemas/schedule/parse.ts';
import type {Entry} from './entry.ts';

export interface EntryName {
  readonly id: string;
  readonly name: string | null;
}

/** What a new crontab does to the entries of the old one. Who keeps the id keeps history and a running process. */
export interface CrontabDiff {
  readonly added: EntryName[];
  /** `changed`: another schedule, command or state under the same id. */
  readonly kept: (EntryName & {readonly changed: boolean})[];
  readonly removed: EntryName[];
}

/** In the order of the new crontab, `removed` in that of the old one. */
export function diffEntries(before: readonly Entry[], after: readonly Entry[]): CrontabDiff {
  const old = new Map(before.map((entry) => [entry.id, entry]));
  const ids = new Set(after.map(({id}) => id));
  const print = createPrinter();
  return {
    added: after.filter(({id}) => !old.has(id)).map(nameOf),
    kept: after.flatMap((entry) => {
      const known = old.get(entry.id);
      return known === undefined ? [] : [{...nameOf(entry), changed: print(known) !== print(entry)}];
    }),
    removed: before.filter(({id}) => !ids.has(id)).map(nameOf),
  };
}

function nameOf({id, name}: Entry): EntryName {
  return {id, name};
}

/** All that runs, as text. Jobs share the object of their variables, which is why each is printed once. */
function createPrinter(): (entry: Entry) => string {
  const printed = new Map<object, string>();
  return ({job, expiresAtMs, runAtMs}) => {
    const {line: _line, environment, commandText: _commandText, managed: _managed, ...rest} = job;
    const variables = printed.get(environment) ?? JSON.stringify(environment);
    printed.set(environment, variables);
    const schedule = {...job.schedule, text: writtenOut(job.schedule)};
    return JSON.stringify([{...rest, schedule}, expiresAtMs, runAtMs, variables]);
  };
}
