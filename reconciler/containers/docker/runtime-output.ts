import {maxReadyLineBytes} from '../inside.ts';
import type {Output} from './engine.ts';

export interface HeardRuntime {
  /** First line of standard output without its end; null when the output ends before, or the line is too long. */
  readonly firstLine: Promise<string | null>;
  /** The end of what it wrote to standard error so far. */
  lastWords(): string;
}

const keptBytes = 2_000;

/** Listens to a runtime that starts, until its output ends. */
export function hearRuntime(output: AsyncIterable<Output>): HeardRuntime {
  let words = Buffer.alloc(0);
  let line = Buffer.alloc(0);
  const {promise, resolve} = Promise.withResolvers<string | null>();
  const listen = async () => {
    for await (const {stream, bytes} of output) {
      if (stream === 'stderr') {
        words = Buffer.concat([words, bytes]).subarray(-keptBytes);
        continue;
      }
      line = Buffer.concat([line, bytes]).subarray(0, maxReadyLineBytes + 1);
      const end = line.indexOf(0x0a);
      if (end !== -1) resolve(line.toString('utf8', 0, end));
      else if (line.length > maxReadyLineBytes) resolve(null);
    }
  };
  void listen().finally(() => resolve(null));
  return {firstLine: promise, lastWords: () => words.toString('utf8').trim()};
}
