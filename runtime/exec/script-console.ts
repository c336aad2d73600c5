import {replaceConsole} from '../platform/console.ts';
import type {CurrentCall} from './call-context.ts';

/**
 * From here on `console` writes to the record of the call that prints, and to standard error where there is none. It is
 * made when somebody prints.
 */
export function defineScriptConsole(current: CurrentCall): void {
  const writer = (stream: 'stdout' | 'stderr') => (text: string) => {
    const output = current.getStore()?.output;
    if (output === undefined) process.stderr.write(text);
    else output.write(stream, text);
  };
  replaceConsole({stdout: writer('stdout'), stderr: writer('stderr')});
}
