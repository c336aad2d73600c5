import {AsyncLocalStorage} from 'node:async_hooks';
import type {Call} from './call.ts';
import type {CallNames} from './call-names.ts';
import type {CallOutput} from './call-output.ts';

export interface CallMetadata {
  readonly executionId: string;
  readonly parameters: Call['parameters'];
  /** Form-decoded; of a repeated key the last value; route parameters win. */
  readonly query: Readonly<Record<string, string | readonly string[]>>;
  readonly method: string;
  readonly path: string;
  readonly url: string;
  readonly clientIp: string;
}

/** Everything that belongs to one call, wherever its code happens to run. */
export interface CallContext {
  readonly call: Call;
  /** What scripts find without importing it: `req`, `res`, `metadata`, `shared` and so on. */
  readonly names: CallNames;
  readonly output: CallOutput;
  /** Null where the call has the host's own variables. */
  readonly environment: Record<string, string | undefined> | null;
}

/** The call that the running code belongs to, through awaits, timers and callbacks. */
export type CurrentCall = AsyncLocalStorage<CallContext>;

export function createCurrentCall(): CurrentCall {
  return new AsyncLocalStorage();
}

export function metadataOf(call: Call, method: string): CallMetadata {
  const question = call.target.indexOf('?');
  const query = question === -1 ? '' : call.target.slice(question + 1);
  return {
    executionId: call.executionId,
    parameters: call.parameters,
    query: {...Object.fromEntries(new URLSearchParams(query)), ...call.parameters},
    method: call.method ?? method,
    path: question === -1 ? call.target : call.target.slice(0, question),
    url: call.target,
    clientIp: call.clientIp,
  };
}
