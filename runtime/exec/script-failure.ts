import {relative} from 'node:path';
import type {ScriptFailure} from './host-messages.ts';
import {bodySuffix} from './script-loader.ts';

interface Frame {
  readonly path: string;
  readonly line: number;
  readonly column: number;
}

export interface ScriptPlaces {
  readonly directory: string;
  readonly firstLineShift: (path: string) => number;
}

/** What a script threw, in the author's terms: stack frames outside of the scripts are ours and are not shown. */
export function scriptFailure(error: unknown, places: ScriptPlaces): ScriptFailure {
  try {
    return describe(firstOf(error), places);
  } catch {
    // Looking at it runs code of the script: a getter or a proxy may throw in its turn.
    const message = 'The script threw something that cannot be looked at.';
    return {message, file: null, line: null, column: null, stack: message};
  }
}

function describe(cause: unknown, places: ScriptPlaces): ScriptFailure {
  const message =
    cause instanceof Error ? `${cause.name}: ${cause.message}` : `The script threw ${printable(cause)}.`;
  const shown = message.replaceAll(`${places.directory}/`, '').replaceAll(bodySuffix, '');
  const frames = framesOf(cause, places);
  const at = buildPosition(cause, places) ?? frames[0] ?? importingFile(cause, places);
  return {
    message: shown,
    file: at === null ? null : at.path,
    line: at === null || at.line === 0 ? null : at.line,
    column: at === null || at.line === 0 ? null : at.column,
    stack: [shown, ...frames.map(({path, line, column}) => `    at ${path}:${line}:${column}`)].join('\n'),
  };
}

/** Bun gathers what it finds wrong in a text; the first is the one to correct. */
function firstOf(error: unknown): unknown {
  return error instanceof AggregateError && error.errors.length > 0 ? error.errors[0] : error;
}

/** The frames in scripts, in the author's lines and columns. */
function framesOf(error: unknown, places: ScriptPlaces): Frame[] {
  const stack = error instanceof Error ? (error.stack ?? '') : '';
  return stack.split('\n').flatMap((row) => {
    const [, path, line, column] =
      /(?:\(|at (?:async )?)((?:\/|file:\/\/)[^()]*):(\d+):(\d+)\)?$/.exec(row.trim()) ?? [];
    const frame = path === undefined ? null : inScripts(path, Number(line), Number(column), places);
    return frame === null ? [] : [frame];
  });
}

/** Where Bun found a syntax error that our own parser does not look for. */
function buildPosition(error: unknown, places: ScriptPlaces): Frame | null {
  if (typeof error !== 'object' || error === null || !('position' in error)) return null;
  const {position} = error;
  if (typeof position !== 'object' || position === null) return null;
  const {file, line, column}: {file?: unknown; line?: unknown; column?: unknown} = position;
  return inScripts(String(file), Number(line), Number(column), places);
}

function inScripts(path: string, line: number, column: number, places: ScriptPlaces): Frame | null {
  const {directory, firstLineShift} = places;
  const file = path.replace('file://', '').replace(bodySuffix, '');
  if (!file.startsWith(`${directory}/`)) return null;
  const shift = line === 1 ? firstLineShift(file) : 0;
  return {path: relative(directory, file), line, column: Math.max(1, column - shift)};
}

/** Bun's errors about an import name the file that asks, and no line. */
function importingFile(error: unknown, places: ScriptPlaces): Frame | null {
  if (typeof error !== 'object' || error === null || !('referrer' in error)) return null;
  return inScripts(String(error.referrer), 0, 0, places);
}

function printable(value: unknown): string {
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    // Values that are not JSON, such as cycles, still have a name.
    return String(value);
  }
}
