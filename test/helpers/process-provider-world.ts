import type {ExecutionContext} from 'ava';
import {
  createProcessProvider,
  type ProcessProviderOptions,
} from '../../reconciler/containers/process/process-provider.ts';
import {createProviderWorld, type OptionsWorld} from './provider-world.ts';

export type ProcessWorld = OptionsWorld<ProcessProviderOptions>;

export function processWorld(
  t: ExecutionContext,
  level: 'network' | 'sandbox' | 'plain',
  change: Partial<ProcessProviderOptions> = {},
): Promise<ProcessWorld> {
  return createProviderWorld<ProcessProviderOptions>(t, {
    create: createProcessProvider,
    own: {level, startTimeoutMs: 10_000, ...change},
  });
}
