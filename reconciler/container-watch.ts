import type {ControlState} from '../schemas/control-state.ts';
import type {BranchRecord} from './branch-record.ts';
import {type Container, labelNames} from './containers/provider.ts';
import type {ControllerContext} from './controller-context.ts';
import {jitter, retryDelayMs, withCrash} from './outcome.ts';
import {hasDrifted} from './plan.ts';
import type {WatchedRepository} from './repository-watch.ts';

/** Between the end of a runtime's connection and the end of its process. */
const exitSettleMs = 100;

/** Follows running containers: their events, their ends, and whether they still are as they were set. */
export interface ContainerWatch {
  /** Follows the events of a branch's container, once. */
  follow(key: string, container: Container | null): void;
  /** People's own entries are nowhere else: a copy of live's is kept up to date. */
  mirrorEntries(record: BranchRecord, container: Container, runtime: ControlState): void;
  /** Told by the provider and by the end of the event stream, whichever is first; a death counts once. */
  onExit(containerId: string): void;
  /** Told by the provider: what could not be reached is looked at at once. */
  onReturn(containerId: string): void;
  /** The safety net under the event streams: one cheap question to every running container, spread over the interval. Ends with the controller. */
  sweep(): Promise<void>;
}

export function createContainerWatch({
  options,
  table,
  queue,
  guard,
  watches,
  previews,
  emit,
  shutdown,
}: ControllerContext): ContainerWatch {
  const {provider, records, data, clock, log} = options;

  const mirrorEntries = (record: BranchRecord, container: Container, runtime: ControlState) => {
    const isFilled = container.labels[labelNames.restoreEntries] === undefined;
    if (record.live && isFilled) void data?.followEntries({record, container}, runtime, shutdown);
  };

  const follow = (key: string, container: Container | null) => {
    const state = table.observed(key);
    if (container === null || (state.events !== null && !state.events.signal.aborted)) return;
    const controller = new AbortController();
    state.events = controller;
    const signal = AbortSignal.any([controller.signal, shutdown]);
    void readEvents(key, container, signal).finally(async () => {
      if (state.events === controller) state.events = null;
      if (signal.aborted) return;
      // The kernel closes the connection of a dying runtime a moment before it is gone.
      await clock.sleep(exitSettleMs);
      const now = (await provider?.list())?.find(({id}) => id === container.id);
      if (now?.state === 'running') queue.add(key);
      else onExit(container.id);
    });
  };

  const readEvents = async (key: string, container: Container, signal: AbortSignal): Promise<void> => {
    try {
      for await (const event of options.client(container).events({signal})) {
        if (event.type === 'crontab_changed') {
          const applied = records.get(key)?.applied?.crontabs[event.user]?.raw_etag;
          if (event.raw_etag !== applied) queue.add(key);
          else if (records.get(key)?.live === true) await refresh(key, container, signal);
        } else if (event.type === 'deployment_changed') {
          if (event.digest !== records.get(key)?.applied?.deployment) queue.add(key);
        } else if (event.type === 'schedule_changed') await refresh(key, container, signal);
        else {
          await refresh(key, container, signal);
          emit({type: event.type, key});
        }
      }
    } catch (error) {
      if (!signal.aborted) log.info('the event stream of a container ended', {key, error});
    }
  };

  const refresh = async (key: string, container: Container, signal: AbortSignal): Promise<void> => {
    const record = records.get(key);
    if (record === undefined) return;
    const runtime = await options.client(container).state({signal});
    table.observed(key).runtime = runtime;
    record.next_run = runtime.next_run;
    record.last_run = runtime.last_run ?? record.last_run;
    mirrorEntries(record, table.observed(key).container ?? container, runtime);
    emit({type: 'branch_changed', key});
  };

  const onExit = (id: string) => {
    const key = table.keyOf(id);
    if (key === undefined || shutdown.aborted) return;
    const state = table.observed(key);
    if (state.container?.state !== 'running') return;
    state.container = {...state.container, state: 'failed'};
    state.events?.abort();
    state.crashes = withCrash(state.crashes, clock.now());
    log.warn('a runtime died', {key, id, crashes: state.crashes.count});
    emit({type: 'branch_changed', key});
    if (state.crashes.count === 1) queue.add(key);
    else queue.addAfter(key, retryDelayMs(state.crashes.count, options.random()));
  };

  const onReturn = (id: string) => {
    const key = table.keyOf(id);
    if (key === undefined || shutdown.aborted) return;
    log.info('a container is back', {key, id});
    queue.add(key);
  };

  /** Often enough that no lease runs out between two looks. */
  const longestIntervalMs = (options.leaseMs ?? Infinity) / 4;

  const sweep = async (): Promise<void> => {
    await Promise.all(options.repositories.map(sweepOf));
  };

  const sweepOf = async ({source: {repository}, policy}: WatchedRepository): Promise<void> => {
    while (!shutdown.aborted) {
      const keys = table
        .running()
        .flatMap(({record}) => (record.repository === repository ? record.key : []));
      const intervalMs = jitter(Math.min(policy.driftIntervalMs, longestIntervalMs), options.random());
      if (keys.length === 0) await clock.sleep(intervalMs, {signal: shutdown});
      for (const key of keys) {
        await clock.sleep(intervalMs / keys.length, {signal: shutdown});
        await checkDrift(key);
      }
    }
  };

  const checkDrift = async (key: string): Promise<void> => {
    const container = table.observed(key).container;
    const record = records.get(key);
    if (container?.state !== 'running' || record === undefined) return;
    // What is not ours to change, or not watched any more, is not kept going either.
    if (guard.known(record.repository) !== null || !watches.has(record.repository)) return;
    try {
      const runtime = await options.client(container).state({signal: shutdown});
      // Limits that are reached make no event.
      table.observed(key).runtime = runtime;
      const isDue = await previews.tend(record, {container, runtime}, {signal: shutdown});
      if (isDue || hasDrifted(record, runtime)) queue.add(key);
    } catch {
      // Whatever keeps it from answering, a full look finds out and reports it.
      queue.add(key);
    }
  };

  return {follow, mirrorEntries, onExit, onReturn, sweep};
}
