import {execFile} from 'node:child_process';
import {AppError} from '../../schemas/errors.ts';

/** A line with its number, from 1. */
export interface FoundLine {
  readonly line: number;
  readonly text: string;
}

const withinMs = 5000;
const maxOutputBytes = 16 * 1024 * 1024;

/**
 * Lines of a file or a text that match a POSIX extended expression, at most `limit`. A process of its own looks for them,
 * because an expression can be written that takes for ever. Throws AppError INVALID_BODY for what is no expression
 * or takes too long, NOT_IMPLEMENTED where there is no grep.
 */
export function searchLines(
  source: {readonly path: string} | {readonly text: string},
  {regex, caseSensitive, limit}: {regex: string; caseSensitive: boolean; limit: number},
): Promise<FoundLine[]> {
  const flags = ['-E', '-n', '-a', ...(caseSensitive ? [] : ['-i']), '-m', String(limit)];
  const options = {
    env: {PATH: '/usr/local/bin:/usr/bin:/bin', LC_ALL: 'C.UTF-8'},
    timeout: withinMs,
    killSignal: 'SIGKILL',
    maxBuffer: maxOutputBytes,
  } as const;
  return new Promise((resolve, reject) => {
    const file = 'path' in source ? source.path : '-';
    const {stdin} = execFile('grep', [...flags, '-e', regex, '--', file], options, (error, stdout) => {
      // Code 1: nothing matches.
      if (error === null || error.code === 1) resolve(parse(stdout));
      else reject(refusal(error));
    });
    // It may have found enough, or refused the expression, before it has read all: its end tells.
    stdin?.on('error', () => {});
    stdin?.end('text' in source ? source.text : '');
  });
}

function parse(output: string): FoundLine[] {
  return output
    .split('\n')
    .slice(0, -1)
    .map((row) => {
      const colon = row.indexOf(':');
      return {line: Number(row.slice(0, colon)), text: row.slice(colon + 1)};
    });
}

function refusal(error: {code?: unknown; killed?: boolean | undefined}): AppError {
  if (error.code === 'ENOENT')
    return new AppError(
      'NOT_IMPLEMENTED',
      'This container has no grep. Search with `query`, or install grep.',
    );
  const why = error.killed === true ? `takes longer than ${withinMs / 1000} s` : 'is not understood';
  return new AppError('INVALID_BODY', `\`regex\` ${why}. Write a simpler POSIX extended expression.`, {
    cause: error,
  });
}
