import {AppError} from '../schemas/errors.ts';

/** What a thrown error means for a branch: wait for new input, or try again. */
export interface Failure {
  readonly kind: 'stalled' | 'retry';
  /** Machine word, the error's code in lower case. */
  readonly reason: string;
  readonly message: string;
}

/** Errors that are not ours are retried too: a full disk or a dying engine may come back. */
export function failureOf(error: unknown): Failure {
  if (error instanceof AppError) {
    return {
      kind: error.retryable || error.isServerFault ? 'retry' : 'stalled',
      reason: error.code.toLowerCase(),
      message: sentence(error.message),
    };
  }
  if (error instanceof Error && 'code' in error && error.code === 'ENOSPC') {
    return {
      kind: 'retry',
      reason: 'storage_full',
      message: 'The disk of the state directory is full. Free some space; it goes on by itself.',
    };
  }
  const message = error instanceof Error ? error.message : String(error);
  return {kind: 'retry', reason: 'internal_error', message: sentence(message)};
}

/** Ends a message with a full stop where it has no end of its own. */
export function sentence(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

const firstDelayMs = 750;
const longestDelayMs = 15 * 60_000;

/** 750 ms, doubling to 15 minutes, spread by ±20 %. `random` is in [0, 1). */
export function retryDelayMs(failures: number, random: number): number {
  const delayMs = Math.min(firstDelayMs * 2 ** Math.max(0, failures - 1), longestDelayMs);
  return jitter(delayMs, random);
}

/** How often something died lately. */
export interface Crashes {
  readonly count: number;
  readonly lastMs: number;
}

export const noCrashes: Crashes = {count: 0, lastMs: 0};

/** A death longer ago than this says nothing about the present one. */
const crashMemoryMs = 10 * 60_000;

export function withCrash({count, lastMs}: Crashes, nowMs: number): Crashes {
  return {count: nowMs - lastMs > crashMemoryMs ? 1 : count + 1, lastMs: nowMs};
}

/** Spreads a period by ±20 %, so that many branches do not come due together. */
export function jitter(ms: number, random: number): number {
  return Math.round(ms * (0.8 + 0.4 * random));
}
