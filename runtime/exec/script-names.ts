import {Database} from 'bun:sqlite';
import nodeCrypto from 'node:crypto';
import nodeFs from 'node:fs';
import nodePath from 'node:path';
import type {CurrentCall} from './call-context.ts';

/** Belong to a call; in a body they are parameters, elsewhere they are looked up in the call that runs. */
const namesOfCall = ['req', 'res', 'metadata', 'shared', 'mainResult', 'ws'] as const;

/** Passed to a body beside those of the call: as a global it would replace the web's `crypto`, which others use. */
export const bodyNames = {crypto: nodeCrypto} as const;

/**
 * Makes the predefined names global. A script may declare or assign each of them for itself. Bun's shell keeps the
 * `process.env` that it finds here.
 */
export function defineScriptNames(current: CurrentCall): void {
  Object.assign(globalThis, {Database, $: Bun.$, fs: nodeFs, path: nodePath});
  for (const name of namesOfCall) {
    Object.defineProperty(globalThis, name, {
      configurable: true,
      get: () => current.getStore()?.names[name],
      set: (value: unknown) =>
        Object.defineProperty(globalThis, name, {value, configurable: true, writable: true}),
    });
  }
}
