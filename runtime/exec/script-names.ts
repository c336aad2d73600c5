import {Database} from 'bun:sqlite';
import type {CurrentCall} from './call-context.ts';

/** Belong to a call; in a body they are parameters, elsewhere they are looked up in the call that runs. */
const namesOfCall = ['req', 'res', 'metadata', 'shared', 'mainResult', 'ws'] as const;

/**
 * Makes the predefined names global. A script may declare or assign each of them for itself. Bun's shell keeps the
 * `process.env` that it finds here.
 */
export function defineScriptNames(current: CurrentCall): void {
  Object.assign(globalThis, {Database, $: Bun.$});
  defineGlobal('fs', () => process.getBuiltinModule('node:fs'));
  defineGlobal('path', () => process.getBuiltinModule('node:path'));
  for (const name of namesOfCall) defineGlobal(name, () => current.getStore()?.names[name]);
}

function defineGlobal(name: string, get: () => unknown): void {
  Object.defineProperty(globalThis, name, {
    configurable: true,
    get,
    set: (value: unknown) =>
      Object.defineProperty(globalThis, name, {value, configurable: true, writable: true}),
  });
}
