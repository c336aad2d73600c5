import {Console as NodeConsole} from 'node:console';
import {Writable} from 'node:stream';

/** A console with all its methods that gives every text it would print to one of two functions, at once. */
export function createConsole({
  stdout,
  stderr,
}: {
  stdout: (text: string) => void;
  stderr: (text: string) => void;
}): Console {
  const own = globalThis.console;
  const printing = new NodeConsole({stdout: writableTo(stdout), stderr: writableTo(stderr)});
  // Bun's own additions read from standard input and write to standard output; they stay as they are.
  return Object.assign(printing, {write: own.write, [Symbol.asyncIterator]: own[Symbol.asyncIterator]});
}

function writableTo(take: (text: string) => void): Writable {
  return new Writable({
    decodeStrings: false,
    write(chunk, _encoding, done) {
      take(String(chunk));
      done();
    },
  });
}
