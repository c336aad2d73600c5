import type {Clock} from '../runtime/platform/clock.ts';
import type {Log} from '../runtime/platform/log.ts';
import {createSerialLock, type SerialLock} from '../runtime/platform/serial-lock.ts';
import type {Backup, RestoreData} from '../schemas/backup.ts';
import type {ControlState} from '../schemas/control-state.ts';
import {AppError} from '../schemas/errors.ts';
import type {BackupStore} from './backups.ts';
import type {BranchRecord} from './branch-record.ts';
import type {Container, ContainerProvider} from './containers/provider.ts';
import {copyEntries, type EntryMirror} from './entry-mirror.ts';
import {pauseReasons} from './plan.ts';
import type {RuntimeClient} from './runtime-client.ts';

/** What the data directory of a new preview holds: nothing, what live has, or what a file of the branch makes. */
export type DataPolicy = 'empty' | 'copy' | {readonly seed: string};

/** A branch whose container runs. */
export interface RunningBranch {
  readonly record: BranchRecord;
  readonly container: Container;
}

/** Data directories and hand-made entries of branches: their copies, and how they come back. Errors are AppErrors. */
export interface BranchData {
  /** Backs up what `live` gives whenever its newest backup is older than the interval; ends with the signal. */
  run(live: () => readonly RunningBranch[], signal: AbortSignal): Promise<void>;
  backup(branch: RunningBranch, signal: AbortSignal): Promise<Backup>;
  list(key: string): Promise<Backup[]>;
  /** Why the newest backup could not be made; null where it could, or none was tried. */
  problemOf(key: string): string | null;
  /** Keeps a copy of the entries of a live branch. Never throws: a runtime that is busy is asked again. */
  followEntries(branch: RunningBranch, runtime: ControlState, signal: AbortSignal): Promise<void>;
  forgetEntries(key: string): Promise<void>;

  /** Throws DATA_LOST where a live branch had a container and its data are gone with it. */
  refuseLoss(record: BranchRecord): void;
  /** True where entries wait to be put into the branch's next container. */
  hasEntries(record: BranchRecord): Promise<boolean>;
  putBackEntries(branch: RunningBranch, signal: AbortSignal): Promise<void>;
  /** Carries out `record.restore`. The container may be stopped; it runs afterwards, its schedule paused or held. */
  restore(record: BranchRecord, container: Container, signal: AbortSignal): Promise<void>;
  /** Fills the data directory of a new container. Throws SEED_FAILED, CONTAINER_UNAVAILABLE where live does not run. */
  fill(
    branch: RunningBranch,
    policy: DataPolicy,
    live: RunningBranch | null,
    signal: AbortSignal,
  ): Promise<void>;
}

/** How often it is looked whether a backup is due. */
const lookIntervalMs = 10 * 60_000;
const seedTimeoutMs = 10 * 60_000;

export function createBranchData({
  backups,
  entries,
  provider,
  client,
  clock,
  log,
  keep,
  intervalMs,
  stopGraceMs,
}: {
  backups: BackupStore;
  entries: EntryMirror;
  provider: ContainerProvider;
  client: (container: Container) => RuntimeClient;
  clock: Clock;
  log: Log;
  /** Backups of each branch that stay. */
  keep: number;
  intervalMs: number;
  stopGraceMs: number;
}): BranchData {
  const problems = new Map<string, string>();
  const locks = new Map<string, SerialLock>();
  const inTurn = <T>(key: string, task: () => Promise<T>): Promise<T> => {
    const lock = locks.get(key) ?? createSerialLock();
    locks.set(key, lock);
    return lock(task);
  };

  const backup: BranchData['backup'] = ({record: {key, branch}, container}, signal) =>
    inTurn(key, async () => {
      try {
        const archive = await client(container).packData({signal});
        const made = await backups.save(key, archive, {nowMs: clock.now(), keep});
        problems.delete(key);
        log.info('backed up the data directory', {branch, key, backup: made.id, bytes: made.bytes});
        return made;
      } catch (error) {
        problems.set(key, error instanceof Error ? error.message : String(error));
        log.error('the data directory could not be backed up', {branch, key, error});
        throw error;
      }
    });

  const isDue = async (key: string): Promise<boolean> => {
    const [newest] = await backups.list(key);
    return newest === undefined || clock.now() - Date.parse(newest.created_at) >= intervalMs;
  };

  return {
    backup,
    list: (key) => backups.list(key),
    problemOf: (key) => problems.get(key) ?? null,
    async run(live, signal) {
      while (!signal.aborted) {
        for (const branch of live()) {
          await isDue(branch.record.key)
            .then(async (due) => void (due && (await backup(branch, signal))))
            .catch(() => {
              // It is on record as the problem of the branch, and tried again with the next look.
            });
        }
        await clock.sleep(Math.min(lookIntervalMs, intervalMs), {signal});
      }
    },
    async followEntries({record: {key}, container}, {crontabs}, signal) {
      try {
        await inTurn(key, () => entries.follow(key, client(container), crontabs, {signal}));
      } catch (error) {
        if (!signal.aborted) log.warn('the entries of a branch could not be copied', {key, error});
      }
    },
    forgetEntries: (key) => entries.delete(key),
    refuseLoss({live, applied, restore, branch}) {
      if (live && applied !== null && restore === null) throw dataLost(branch);
    },
    hasEntries: async ({live, key}) => live && (await entries.has(key)),
    putBackEntries: ({record: {key}, container}, signal) => entries.putBack(key, client(container), {signal}),

    async restore(record, container, signal) {
      const {id} = container;
      const start = () => provider.start(id, {signal, makeData: true});
      const {restore, key} = record;
      if (restore === null) return;
      const running = container.state === 'running' ? container : await start();
      if (restore.backup === null) {
        record.restore = null;
        return;
      }
      const {backup: wanted} = restore;
      const {schedule} = await client(running).state({signal});
      if (schedule.state === 'running')
        await client(running).setSchedule({state: 'paused', reason: pauseReasons.restoring}, {signal});
      // Nobody may have a file open of what is replaced.
      await provider.stop(id, {graceMs: stopGraceMs, reason: 'data_restored'});
      const fresh = await start();
      await inTurn(key, async () => client(fresh).replaceData(await backups.read(key, wanted), {signal}));
      log.info('put back the data directory', {branch: record.branch, key, backup: wanted});
      record.restore = null;
    },

    async fill({record, container}, policy, live, signal) {
      if (policy === 'empty') return;
      if (policy === 'copy') {
        if (live === null) {
          throw new AppError(
            'CONTAINER_UNAVAILABLE',
            `${record.branch} is to begin with the data of the live branch (data: copy), which does not run. It is tried again.`,
          );
        }
        const from = client(live.container);
        await client(container).replaceData(await from.packData({signal}), {signal});
        const {crontabs} = await from.state({signal});
        await copyEntries(from, client(container), crontabs, {signal});
        return;
      }
      const request = {script: policy.seed, timeout_ms: seedTimeoutMs};
      const {exit_code, output} = await client(container).seed(request, {signal});
      if (exit_code === 0) return;
      const end = exit_code === null ? 'was ended' : `ended with exit code ${exit_code}`;
      throw new AppError(
        'SEED_FAILED',
        `${policy.seed}, which \`data: seed:\` names, ${end}; nothing of the branch runs before it succeeds. It wrote: ${output.trim().slice(-500)}`,
      );
    },
  };
}

function dataLost(branch: string): AppError {
  return new AppError(
    'DATA_LOST',
    `${branch} had a container whose data are gone. A new one would begin empty, so nothing is made. \`branchtab data list ${branch}\` shows the backups and \`branchtab data restore ${branch}\` brings back the newest; \`branchtab data restore ${branch} --without-backup\` begins anew.`,
  );
}

/** Which of the `backups`, newest first, a person means. Throws BACKUP_NOT_FOUND, NOTHING_TO_RESTORE. */
export function restoreRequest(
  {branch, conditions: all}: BranchRecord,
  {backup, without_backup}: RestoreData,
  backups: readonly Backup[],
): {backup: string | null} {
  if (without_backup) {
    if (all.some(({reason}) => reason === 'data_lost')) return {backup: null};
    throw new AppError(
      'NOTHING_TO_RESTORE',
      `${branch} has not lost its data; there is nothing to begin anew.`,
    );
  }
  const found = backup === null ? backups[0] : backups.find(({id}) => id === backup);
  if (found !== undefined) return {backup: found.id};
  if (backup === null)
    throw new AppError(
      'NOTHING_TO_RESTORE',
      `There is no backup of ${branch}; \`branchtab data backup ${branch}\` makes one.`,
    );
  throw new AppError(
    'BACKUP_NOT_FOUND',
    `${branch} has no backup ${JSON.stringify(backup)}; \`branchtab data list ${branch}\` shows them.`,
  );
}
