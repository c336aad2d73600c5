import type {Backup, BackupList, RestoreData} from '../schemas/backup.ts';
import type {Branch, RollbackRequest} from '../schemas/branch.ts';
import type {EnvironmentList} from '../schemas/environment.ts';
import {AppError} from '../schemas/errors.ts';
import type {Run} from '../schemas/run.ts';
import {adoptContainers} from './adoption.ts';
import {restoreRequest} from './branch-data.ts';
import {readCrontabs} from './branch-files.ts';
import {isBranchKey} from './branch-key.ts';
import type {BranchRecord} from './branch-record.ts';
import {labelNames} from './containers/provider.ts';
import type {ControllerContext} from './controller-context.ts';
import {bindingsOf, describeBinding} from './environments.ts';
import {hasJob} from './preview-holds.ts';
import {rollbackFor} from './rollback.ts';
import {filterRuns, findArchived, withFormer} from './run-archive.ts';

/** What people ask of branches and of their containers. Errors are AppErrors. */
export interface BranchRequests {
  /** Takes a branch's container out of the trash. */
  restore(keyOrName: string): Promise<Branch>;
  /**
   * Lets a preview run that is paused; of one that is not, held jobs: one by its name or rule, or all of them. Throws
   * ENTRY_NOT_FOUND, BRANCH_PAUSED where one job is asked for and all are paused.
   */
  release(keyOrName: string, job: string | null): Promise<Branch>;
  /** Runs an older commit until one newer than the bad one arrives. Throws NOTHING_TO_ROLL_BACK, REVISION_NOT_FOUND. */
  rollback(keyOrName: string, request: RollbackRequest): Promise<Branch>;
  /** Runs what git says again. Throws NOTHING_TO_ROLL_BACK. */
  undoRollback(keyOrName: string): Promise<Branch>;
  /** Takes over containers of repositories that it has no state of; answers how many. */
  adopt(): Promise<number>;
  /** Removes a branch that git has lost, its container and its data, live or not. Throws BRANCH_PRESENT. */
  forget(keyOrName: string): Promise<void>;
  /** What the configuration gives to a branch: names and sources, no values. */
  environment(keyOrName: string): EnvironmentList['items'];
  /** Newest first, from the container or, where that is gone, from the archive. */
  runs(
    keyOrName: string,
    query: Readonly<Record<string, string>>,
  ): Promise<{items: Run[]; next_cursor: string | null}>;
  /** Copies the data directory of a branch now. Throws CONTAINER_UNAVAILABLE where its container does not run. */
  backupData(keyOrName: string): Promise<Backup>;
  /** Newest first, also of a branch that is gone, by its key. */
  backups(keyOrName: string): Promise<BackupList>;
  /** Puts a backup in the place of the data directory, jobs stopped meanwhile. Throws BACKUP_NOT_FOUND, NOTHING_TO_RESTORE. */
  restoreData(keyOrName: string, request: RestoreData): Promise<Branch>;
}

export function createBranchRequests(context: ControllerContext): BranchRequests {
  const {options, table, queue, guard, watches, rulesOf, view, emit, shutdown} = context;
  const {provider, records, archive, data, clock} = options;

  const setRollback = async (record: BranchRecord, rollback: BranchRecord['rollback']): Promise<void> => {
    record.rollback = rollback;
    const label = {[labelNames.rollback]: rollback === null ? null : JSON.stringify(rollback)};
    if (record.container_id !== null) await provider?.label(record.container_id, label);
    await records.save(record);
    queue.cancel(record.key, new Error('another commit is to run'));
    queue.add(record.key, {first: true});
    await queue.settled([record.key]);
  };

  return {
    async release(keyOrName, job) {
      const record = table.find(keyOrName);
      await guard.require(record.repository);
      if (job !== null && record.pause !== null) {
        throw new AppError(
          'BRANCH_PAUSED',
          `All of ${record.branch} is paused, not one job of it; let it run with: branchtab release ${record.branch}`,
        );
      }
      const {revision, path} = record;
      const watch = watches.get(record.repository);
      if (job !== null) {
        const signal = AbortSignal.any([shutdown, AbortSignal.timeout(30_000)]);
        const tree = revision === null ? null : await watch?.source.readHoody(revision, {path, signal});
        const {crontabs} = readCrontabs(tree ?? {files: []});
        if (!hasJob(crontabs, job))
          throw new AppError(
            'ENTRY_NOT_FOUND',
            `${record.branch} has no job ${JSON.stringify(job)} in its crontab`,
          );
      }
      const {all, jobs} = record.released;
      // The end of a pause says nothing about the lines that a policy holds besides.
      if (record.pause === null)
        record.released = {
          all: all || job === null,
          jobs: job === null || jobs.includes(job) ? jobs : [...jobs, job],
        };
      record.pause = null;
      record.released_at = new Date(clock.now()).toISOString();
      await records.save(record);
      queue.add(record.key, {first: true});
      await queue.settled([record.key]);
      return view(record);
    },
    async rollback(keyOrName, request) {
      const record = table.find(keyOrName);
      await guard.require(record.repository);
      const source = watches.get(record.repository)?.source;
      if (source === undefined)
        throw new AppError('NOTHING_TO_ROLL_BACK', `The repository of ${record.branch} is not watched`);
      const signal = AbortSignal.any([shutdown, AbortSignal.timeout(30_000)]);
      const former = record.rollback;
      const wanted = await rollbackFor(record, request, {source, journal: options.journal, clock, signal});
      await setRollback(record, wanted);
      if (record.applied?.revision === wanted.to || record.rollback?.to !== wanted.to) return view(record);
      const why = whyNotReady(record);
      await setRollback(record, former);
      throw new AppError(
        'BACKEND_ERROR',
        `${record.branch} could not be brought to ${wanted.to.slice(0, 8)} and is left as it was: ${why}`,
      );
    },
    async undoRollback(keyOrName) {
      const record = table.find(keyOrName);
      await guard.require(record.repository);
      if (record.rollback === null)
        throw new AppError('NOTHING_TO_ROLL_BACK', `${record.branch} is not rolled back`);
      await setRollback(record, null);
      return view(record);
    },
    async adopt() {
      const held = guard.held();
      const containers = ((await provider?.list()) ?? []).filter(({labels}) =>
        held.includes(labels[labelNames.repository] ?? ''),
      );
      await adoptContainers(containers, context);
      for (const repository of held) {
        await options.contacts.meet(repository, []);
        guard.letGo(repository);
        void watches.get(repository)?.pass({kind: 'request'});
        for (const {key, live} of table.ofRepository(repository)) queue.add(key, {first: live});
      }
      return containers.length;
    },
    async forget(keyOrName) {
      const record = table.find(keyOrName);
      await guard.require(record.repository);
      if (provider === null || record.missing === null || !watches.has(record.repository)) {
        throw new AppError(
          'BRANCH_PRESENT',
          `${record.branch} is in its repository; delete the branch there, or leave it out with --branches`,
        );
      }
      record.forget_requested = true;
      await records.save(record);
      queue.add(record.key, {first: true});
      await queue.settled([record.key]);
      if (records.get(record.key) === record)
        throw new AppError('BACKEND_ERROR', `${record.branch} could not be removed: ${whyNotReady(record)}`);
    },
    environment(keyOrName) {
      const record = table.find(keyOrName);
      return bindingsOf(rulesOf(record), record).map(describeBinding);
    },
    async restore(keyOrName) {
      const record = table.find(keyOrName);
      await guard.require(record.repository);
      if (provider === null || record.trashed_at === null || record.container_id === null) {
        throw new AppError(
          'NOTHING_TO_RESTORE',
          `${record.branch} has no container in the trash; \`branchtab status\` shows its state`,
        );
      }
      await provider.label(record.container_id, {[labelNames.trashedAt]: null});
      record.trashed_at = null;
      // Where git has the branch it is wanted again; else it waits for it.
      record.restored = record.missing !== null;
      record.pause = null;
      record.released_at = new Date(clock.now()).toISOString();
      await provider.start(record.container_id);
      await records.save(record);
      queue.add(record.key, {first: true});
      await queue.settled([record.key]);
      return view(record);
    },
    async backupData(keyOrName) {
      const record = table.find(keyOrName);
      const {container} = table.observed(record.key);
      if (data === null || container?.state !== 'running')
        throw new AppError(
          'CONTAINER_UNAVAILABLE',
          `The container of ${record.branch} does not run; see: branchtab status`,
        );
      const made = await data.backup({record, container}, shutdown);
      emit({type: 'branch_changed', key: record.key});
      return made;
    },
    async backups(keyOrName) {
      const kept = isBranchKey(keyOrName) ? ((await data?.list(keyOrName)) ?? []) : [];
      if (kept.length > 0) return {items: kept, problem: data?.problemOf(keyOrName) ?? null};
      const {key} = table.find(keyOrName);
      return {items: (await data?.list(key)) ?? [], problem: data?.problemOf(key) ?? null};
    },
    async restoreData(keyOrName, request) {
      const record = table.find(keyOrName);
      await guard.require(record.repository);
      record.restore = restoreRequest(record, request, (await data?.list(record.key)) ?? []);
      await records.save(record);
      queue.add(record.key, {first: true});
      await queue.settled([record.key]);
      if (record.restore !== null)
        throw new AppError(
          'BACKEND_ERROR',
          `The data of ${record.branch} could not be put back: ${whyNotReady(record)}`,
        );
      return view(record);
    },
    async runs(keyOrName, query) {
      const named = [...records.all()].some(({branch}) => branch === keyOrName);
      if (records.get(keyOrName) === undefined && !named) {
        const archived = await findArchived(archive, keyOrName);
        if (archived === null) table.find(keyOrName);
        return {items: filterRuns(archived ?? [], query), next_cursor: null};
      }
      const record = table.find(keyOrName);
      const former = await archive.read(record.key);
      const {container} = table.observed(record.key);
      if (container?.state !== 'running') return {items: filterRuns(former, query), next_cursor: null};
      const {user = 'root', ...rest} = query;
      const signal = AbortSignal.any([shutdown, AbortSignal.timeout(30_000)]);
      const present = await options.client(container).runs(user, rest, {signal});
      return present.next_cursor === null ? withFormer(present.items, former, {...query, user}) : present;
    },
  };
}

function whyNotReady({conditions: all}: BranchRecord): string {
  return all.find(({type}) => type === 'Ready')?.message ?? 'see the log';
}
