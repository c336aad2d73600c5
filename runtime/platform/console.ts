import type {Writable} from 'node:stream';

type Take = (text: string) => void;

/**
 * Puts a console with all its methods in the place of the global one; it gives every text it would print to one of
 * two functions, at once. It is made when it is first used: streams take some megabytes.
 */
export function replaceConsole(take: {stdout: Take; stderr: Take}): void {
  const own = globalThis.console;
  const put = (value: unknown) =>
    Object.defineProperty(globalThis, 'console', {value, configurable: true, writable: true});
  Object.defineProperty(globalThis, 'console', {
    configurable: true,
    get() {
      // What makes a console asks for the global one.
      put(own);
      const made = createConsole(own, take);
      put(made);
      return made;
    },
    set: put,
  });
}

function createConsole(own: Console, {stdout, stderr}: {stdout: Take; stderr: Take}): Console {
  const {Console: NodeConsole} = process.getBuiltinModule('node:console');
  const printing = new NodeConsole({stdout: writableTo(stdout), stderr: writableTo(stderr)});
  // Bun's own additions read from standard input and write to standard output; they stay as they are.
  return Object.assign(printing, {write: own.write, [Symbol.asyncIterator]: own[Symbol.asyncIterator]});
}

function writableTo(take: Take): Writable {
  const {Writable: Base} = process.getBuiltinModule('node:stream');
  return new Base({
    decodeStrings: false,
    write(chunk, _encoding, done) {
      take(String(chunk));
      done();
    },
  });
}
