import type {ControlEvent} from '../../schemas/control-state.ts';
import {keepManaged, removeManaged} from '../../schemas/crontab/edit.ts';
import {crontabSizeProblem, parseCrontab} from '../../schemas/crontab.ts';
import {AppError} from '../../schemas/errors.ts';
import type {Issue} from '../../schemas/issue.ts';
import type {Clock} from '../platform/clock.ts';
import type {Log} from '../platform/log.ts';
import {createSerialLock, type SerialLock} from '../platform/serial-lock.ts';
import type {CrontabStore, StoredCrontab} from './crontab-store.ts';
import type {Entry} from './entry.ts';
import type {CronUsers} from './users.ts';

export interface PutOptions {
  /** `keep`: the text is raw and the managed entries stay. `replace`: the text is the whole file. */
  readonly managed: 'keep' | 'replace';
  /** The value of an `If-Match` header; either tag matches. null sets no condition. */
  readonly ifMatch: string | null;
  /** True to learn what a PUT would do; nothing is written. */
  readonly dryRun?: boolean;
}

export interface PutResult {
  readonly before: StoredCrontab;
  /** In force, unless it was a dry run. */
  readonly after: StoredCrontab;
  /** Entries of the new text that were past their end and are not part of `after`. */
  readonly removedExpired: number;
}

/** The only writer of crontabs. Expired entries are gone from whatever it hands out. */
export interface CrontabWrites {
  current(user: string): Promise<StoredCrontab>;
  put(user: string, text: string, options: PutOptions): Promise<PutResult>;
  /** Writes what `edit` makes of the user's crontab. Throws where the new text is not a valid crontab. */
  change(user: string, edit: (before: StoredCrontab) => string): Promise<StoredCrontab>;
  /** Takes expired entries out, again and again until it is done or the service ends. */
  sweepInBackground(user: string): Promise<void>;
}

/** After a failed attempt to take an expired entry out of the file; it does not run meanwhile. */
const sweepRetryMs = 5_000;

export function createCrontabWrites({
  store,
  users,
  clock,
  log,
  stopped,
  emit,
  onReplaced,
  isOver,
  maxEntries,
  maxTotalLength,
}: {
  store: CrontabStore;
  users: CronUsers;
  clock: Clock;
  log: Log;
  stopped: AbortSignal;
  emit: (event: ControlEvent) => void;
  /** Called when the new text is durable. */
  onReplaced: (stored: StoredCrontab) => void;
  /** True for an entry that has had its time and shall leave the text. */
  isOver: (entry: Entry) => boolean;
  /** Jobs of one user. */
  maxEntries: () => number;
  /** Characters of all users' crontabs together. */
  maxTotalLength: number;
}): CrontabWrites {
  const idsOver = (entries: readonly Entry[]): ReadonlySet<string> =>
    new Set(entries.filter(isOver).map(({id}) => id));
  const locks = new Map<string, SerialLock>();

  async function withLock<T>(user: string, task: (name: string) => Promise<T>): Promise<T> {
    const {name} = await users.find(user);
    const lock = locks.get(name) ?? createSerialLock();
    locks.set(name, lock);
    return lock(() => task(name));
  }

  /** Only under the user's lock. Throws where the new text is not a valid crontab; then nothing has changed. */
  async function replaceText(user: string, text: string): Promise<StoredCrontab> {
    const after = readText(user, text);
    return after === store.get(user) ? after : commit(after);
  }

  /** The stored crontab itself where the text is the same. Throws where it may not be stored. */
  function readText(user: string, text: string): StoredCrontab {
    const before = store.get(user);
    if (text === before.text) return before;
    checkCrontabSize(text);
    checkTotalSize(text.length - before.text.length);
    const after = store.read(user, text, clock.now());
    refuseIssues(after.crontab.issues);
    checkEntries(before.entries.length, after.entries.length);
    return after;
  }

  /** What is there already stays where the limit was lowered, and may become less. */
  function checkEntries(before: number, after: number): void {
    const most = maxEntries();
    if (after <= most || after <= before) return;
    const message = `A crontab may hold ${most} jobs here; this would be ${after}. Remove some first.`;
    throw new AppError('PAYLOAD_TOO_LARGE', message);
  }

  function checkTotalSize(growth: number): void {
    const total = store.users().reduce((sum, user) => sum + store.get(user).text.length, growth);
    if (growth <= 0 || total <= maxTotalLength) return;
    const message = `All crontabs together may hold ${maxTotalLength} characters; make others smaller first.`;
    throw new AppError('PAYLOAD_TOO_LARGE', message);
  }

  async function commit(stored: StoredCrontab): Promise<StoredCrontab> {
    const {user, rawEtag} = stored;
    await store.write(stored);
    onReplaced(stored);
    emit({type: 'crontab_changed', user, raw_etag: rawEtag});
    return stored;
  }

  /** Takes expired entries out of the text, whatever else it holds. Only under the user's lock. */
  async function sweep(user: string): Promise<StoredCrontab> {
    const after = swept(user);
    return after === store.get(user) ? after : commit(after);
  }

  /** The stored crontab itself where none of its entries is over. */
  function swept(user: string): StoredCrontab {
    const stored = store.get(user);
    const gone = idsOver(stored.entries);
    if (gone.size === 0) return stored;
    const text = removeManaged(stored.crontab, ({id}) => gone.has(id));
    return store.read(user, text, clock.now());
  }

  /** Where they cannot be taken out of the file, for example on a full disk, the text without them is handed out. */
  async function readSwept(user: string): Promise<StoredCrontab> {
    try {
      return await sweep(user);
    } catch (error) {
      log.error('an expired entry could not be removed; it does not run', {error, user});
      return swept(user);
    }
  }

  return {
    current: (user) => withLock(user, readSwept),

    async put(user, text, {managed, ifMatch, dryRun = false}) {
      checkCrontabSize(text);
      const take = async (name: string, next: string) =>
        dryRun ? readText(name, next) : replaceText(name, next);
      return withLock(user, async (name) => {
        const before = await sweep(name);
        requireMatch(before, ifMatch);
        if (managed === 'keep') {
          refuseIssues(parseCrontab(text, {file: 'crontab', managedAllowed: false}).issues);
          return {before, after: await take(name, keepManaged(before.crontab, text)), removedExpired: 0};
        }
        const wanted = store.read(name, text, clock.now());
        refuseIssues(wanted.crontab.issues);
        const gone = idsOver(wanted.entries);
        const kept = removeManaged(wanted.crontab, ({id}) => gone.has(id));
        return {before, after: await take(name, kept), removedExpired: gone.size};
      });
    },

    change: (user, edit) => withLock(user, async (name) => replaceText(name, edit(await sweep(name)))),

    async sweepInBackground(user) {
      while (!stopped.aborted) {
        try {
          await withLock(user, sweep);
          return;
        } catch (error) {
          log.error('an expired entry could not be removed; it does not run', {error, user});
          // Rejects only at the end of the service, which the loop sees.
          await clock.sleep(sweepRetryMs, {signal: stopped}).catch(() => {});
        }
      }
    },
  };
}

/** Throws PAYLOAD_TOO_LARGE. */
export function checkCrontabSize(text: string): void {
  const problem = crontabSizeProblem(text);
  if (problem !== null) throw new AppError('PAYLOAD_TOO_LARGE', problem);
}

function requireMatch({etag, rawEtag}: StoredCrontab, ifMatch: string | null): void {
  if (ifMatch === null || ifMatch.trim() === '*') return;
  const tags = ifMatch.split(',').map((tag) => tag.trim());
  if (tags.includes(etag) || tags.includes(rawEtag)) return;
  const message = 'The crontab changed since you read it; read it again and repeat the change.';
  throw new AppError('PRECONDITION_FAILED', message, {details: {etag, raw_etag: rawEtag}});
}

function refuseIssues(issues: readonly Issue[]): void {
  const [first] = issues;
  if (first === undefined) return;
  const more = issues.length === 1 ? '' : ` (and ${issues.length - 1} more)`;
  const message = `Line ${first.line}, column ${first.column}: ${first.message}${more} Nothing was written.`;
  throw new AppError('INVALID_CRONTAB', message, {details: {issues: issues.slice(0, 100)}});
}
