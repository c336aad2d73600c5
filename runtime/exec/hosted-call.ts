import type {SlotWorker} from '../platform/shared-slots.ts';
import type {Call} from './call.ts';
import type {CurrentCall} from './call-context.ts';
import type {FreshGlobals} from './fresh-globals.ts';
import type {HostMessage} from './host-messages.ts';
import type {ScriptEnvironment} from './script-environment.ts';
import {scriptFailure} from './script-failure.ts';
import type {ScriptLoader} from './script-loader.ts';

/** What all calls of one host have in common. */
export interface ScriptHost {
  readonly directory: string;
  readonly loader: ScriptLoader;
  readonly environment: ScriptEnvironment;
  readonly globals: FreshGlobals;
  readonly slots: SlotWorker;
  readonly current: CurrentCall;
  /** One object for all scripts of the deployment, for as long as the host lives. */
  readonly shared: Record<string, unknown>;
  readonly send: (message: HostMessage) => void;
  /** Ends this host: a script has replaced what we need to answer. */
  readonly giveUp: () => void;
}

/** Runs the first stretch of a script and marks it: as long as the mark stands, it is the one that blocks this host. */
export function markRunning<T>({slots}: ScriptHost, {slot}: Call, run: () => T): T {
  slots.setRunning(slot);
  try {
    return run();
  } finally {
    slots.setRunning(0);
  }
}

/** Tells the runtime what a script threw, and returns it in the author's terms. */
export function reportFailure({directory, loader, send}: ScriptHost, {executionId}: Call, error: unknown) {
  const failure = scriptFailure(error, {directory, firstLineShift: loader.firstLineShift});
  send({type: 'failed', executionId, failure});
  return failure;
}
