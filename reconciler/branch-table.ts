import {branchName} from '../schemas/branch-name.ts';
import type {ControlState} from '../schemas/control-state.ts';
import {AppError} from '../schemas/errors.ts';
import type {RunningBranch} from './branch-data.ts';
import type {BranchRecord} from './branch-record.ts';
import type {Phase} from './branch-view.ts';
import type {Container} from './containers/provider.ts';
import {type Crashes, noCrashes} from './outcome.ts';
import type {RecordStore} from './record-store.ts';

/** What was seen last of a branch's container; lost with the controller. */
export interface Observed {
  container: Container | null;
  runtime: ControlState | null;
  phase: Phase;
  /** Aborts the subscription to the runtime's events. */
  events: AbortController | null;
  crashes: Crashes;
}

/** The branches that are known, with what was seen of them last. */
export interface BranchTable {
  /** Of any key; made where there is none. */
  observed(key: string): Observed;
  /** Takes note of the branch's container; null for none. */
  place(key: string, container: Container | null): void;
  forget(key: string): void;
  /** By the id of its container. */
  keyOf(containerId: string): string | undefined;
  ofRepository(repository: string): BranchRecord[];
  running(): RunningBranch[];
  /** By key, name, or in a monorepo `branch:path`. Throws BRANCH_NOT_FOUND, BRANCH_AMBIGUOUS. */
  find(keyOrName: string): BranchRecord;
}

export function createBranchTable(records: RecordStore): BranchTable {
  const seen = new Map<string, Observed>();
  const containerKeys = new Map<string, string>();

  const observed = (key: string): Observed => {
    const known = seen.get(key);
    if (known !== undefined) return known;
    const fresh: Observed = {container: null, runtime: null, phase: null, events: null, crashes: noCrashes};
    seen.set(key, fresh);
    return fresh;
  };

  return {
    observed,
    place(key, container) {
      const state = observed(key);
      if (state.container !== null && state.container.id !== container?.id)
        containerKeys.delete(state.container.id);
      if (container !== null) containerKeys.set(container.id, key);
      state.container = container;
    },
    forget(key) {
      const {events, container} = observed(key);
      events?.abort();
      if (container !== null) containerKeys.delete(container.id);
      seen.delete(key);
    },
    keyOf: (containerId) => containerKeys.get(containerId),
    ofRepository: (repository) => [...records.all()].filter((record) => record.repository === repository),
    running: () =>
      [...seen].flatMap(([key, {container}]) => {
        const record = records.get(key);
        return record !== undefined && container?.state === 'running' ? [{record, container}] : [];
      }),
    find(keyOrName) {
      const byKey = records.get(keyOrName);
      if (byKey !== undefined) return byKey;
      const all = [...records.all()];
      const named = all.filter((record) => branchName(record) === keyOrName);
      const byName = named.length > 0 ? named : all.filter(({branch}) => branch === keyOrName);
      const [record, ...others] = byName;
      if (record === undefined) {
        throw new AppError(
          'BRANCH_NOT_FOUND',
          `No branch ${JSON.stringify(keyOrName)} is served; \`branchtab status\` lists those that are`,
        );
      }
      if (others.length > 0) {
        const names = byName.map(branchName);
        const areDistinct = new Set(names).size === names.length;
        throw new AppError(
          'BRANCH_AMBIGUOUS',
          areDistinct
            ? `The branch ${JSON.stringify(keyOrName)} has several containers; use one of ${names.join(', ')}`
            : `More than one repository has a branch ${JSON.stringify(keyOrName)}; use one of the keys ${byName.map(({key}) => key).join(', ')}`,
        );
      }
      return record;
    },
  };
}
