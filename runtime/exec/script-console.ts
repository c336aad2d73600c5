import {createConsole} from '../platform/console.ts';
import type {CurrentCall} from './call-context.ts';

/** A console whose lines go to the record of the call that prints, and to standard error where there is none. */
export function createScriptConsole(current: CurrentCall): Console {
  const writer = (stream: 'stdout' | 'stderr') => (text: string) => {
    const output = current.getStore()?.output;
    if (output === undefined) process.stderr.write(text);
    else output.write(stream, text);
  };
  return createConsole({stdout: writer('stdout'), stderr: writer('stderr')});
}
