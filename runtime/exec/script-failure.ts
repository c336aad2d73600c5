import {relative} from 'node:path';
import type {ErrorBody} from '../../schemas/errors.ts';
import {ScriptSyntaxError} from './script-loader.ts';

export interface FailurePosition {
  /** Path below the scripts directory, or null where the error does not come from a script. */
  readonly file: string | null;
  readonly line: number | null;
  readonly column: number | null;
}

/** The body of a failed call. Stack frames outside of the scripts are ours and are not shown. */
export function scriptFailure(
  error: unknown,
  {directory, firstLineShift}: {directory: string; firstLineShift: (path: string) => number},
): ErrorBody {
  const message =
    error instanceof Error ? `${error.name}: ${error.message}` : `The script threw ${printable(error)}.`;
  // Where the deployment is kept says nothing to the author.
  return {
    code: 'SCRIPT_FAILED',
    message: message.replaceAll(`${directory}/`, ''),
    details: position(error, directory, firstLineShift),
  };
}

function position(
  error: unknown,
  directory: string,
  firstLineShift: (path: string) => number,
): FailurePosition {
  if (error instanceof ScriptSyntaxError) return {file: relative(directory, error.path), ...error.position};
  const importing = importingFile(error, directory);
  if (importing !== null) return {file: relative(directory, importing), line: null, column: null};
  const frame = scriptFrame(error, directory);
  if (frame === null) return {file: null, line: null, column: null};
  const shift = frame.line === 1 ? firstLineShift(frame.path) : 0;
  return {file: relative(directory, frame.path), line: frame.line, column: Math.max(1, frame.column - shift)};
}

function scriptFrame(error: unknown, directory: string): {path: string; line: number; column: number} | null {
  const stack = error instanceof Error ? (error.stack ?? '') : '';
  for (const line of stack.split('\n')) {
    const [, path, row, column] =
      /(?:\(|at (?:async )?)((?:\/|file:\/\/)[^()]*):(\d+):(\d+)\)?$/.exec(line.trim()) ?? [];
    if (path?.startsWith(`${directory}/`)) return {path, line: Number(row), column: Number(column)};
  }
  return null;
}

/** Bun's errors about an import name the file that asks, and no line. */
function importingFile(error: unknown, directory: string): string | null {
  if (typeof error !== 'object' || error === null || !('referrer' in error)) return null;
  const path = String(error.referrer);
  return path.startsWith(`${directory}/`) ? path : null;
}

function printable(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    // Values that are not JSON, such as cycles, still have a name.
    return String(value);
  }
}
