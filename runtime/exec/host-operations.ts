import type {ClearCache, ClearedCache, Restart, RestartStatus} from '../../schemas/exec-operations.ts';
import type {HostLease} from './host-pool.ts';
import type {ExecEngine} from './management.ts';
import type {SharedStateAnswer, SharedStateRequest} from './shared-state.ts';
import {askSharedState} from './shared-state-client.ts';

/** The script hosts, as far as management may touch them. */
export interface HostControl {
  count(): number;
  /** A host of the present set, started where none runs; null before the first deployment. */
  lease(): Promise<HostLease | null>;
  /** New calls get new hosts; resolves when the former ones have ended, at the latest after `graceMs`. */
  replace(graceMs: number): Promise<void>;
}

export interface HostOperations {
  restart(request: Restart): Promise<RestartStatus>;
  restartStatus(): RestartStatus;
  /** Scripts start anew with their next call; running calls end on what they have. */
  clearCache(request: ClearCache): ClearedCache;
  /** Throws SCRIPT_HOST_FAILED. */
  sharedState(request: SharedStateRequest): Promise<SharedStateAnswer>;
}

/** As long as a former host may go on when only its cache was to be cleared. */
const drainMs = 30_000;

export function createHostOperations({hosts, clock}: Pick<ExecEngine, 'hosts' | 'clock'>): HostOperations {
  let restarting = 0;
  let lastRestart: RestartStatus['lastRestart'] = null;
  const status = (): RestartStatus => ({restarting: restarting > 0, hosts: hosts.count(), lastRestart});

  return {
    restartStatus: status,
    async restart({graceful, drainTimeoutMs, reason}) {
      lastRestart = {at: new Date(clock.now()).toISOString(), reason, graceful};
      restarting += 1;
      void hosts.replace(graceful ? drainTimeoutMs : 0).finally(() => {
        restarting -= 1;
      });
      return status();
    },
    clearCache({clearVm, clearState}) {
      const replaced = clearVm || clearState;
      if (replaced) void hosts.replace(drainMs);
      return {cleared: replaced, vm: replaced, state: replaced};
    },
    async sharedState(request) {
      const lease = await hosts.lease();
      return lease === null ? {exists: false, value: null} : askSharedState(lease, request);
    },
  };
}
